"""Which members of a run share a job."""

from pathlib import Path

from consort import members
from consort.kube import names
from consort.run.packs import job_packs, to_launch
from consort.run.plan import plan
from consort.run.run import Run
from consort.store.folder import FolderStore
from consort.study.file import parse_study

STUDY = """
name = "packs"
[data]
source = "digits"
train_images = 300
[architectures]
wrn-10-1 = { seeds = 5 }
wrn-10-2 = { seeds = 2 }
[cluster]
members_per_job = %d
"""


def run_of(folder: Path, most: int) -> Run:
    store, text = FolderStore(folder / "store"), STUDY % most
    return Run(plan(store, parse_study(text, "study.toml"), folder, folder / "cache", study_text=text), store,
               folder / "cache")


def test_members_of_one_architecture_share_jobs_that_are_even(tmp_path: Path) -> None:
    run = run_of(tmp_path, 3)
    packs = job_packs(run, run.ids)
    assert [len(pack) for pack in packs] == [2, 3, 2]
    assert sum(packs, []) == run.ids  # noqa: RUF017
    assert all(len({member.rsplit("-", 2)[0] for member in pack}) == 1 for pack in packs)
    assert job_packs(run_of(tmp_path, 1), run.ids) == [[member] for member in run.ids]


def test_packs_of_what_is_left_are_those_that_another_launcher_makes(tmp_path: Path) -> None:
    """When the first pack is done, whoever starts then makes jobs of the same names of what is left."""
    run = run_of(tmp_path, 2)
    first, *others = job_packs(run, run.ids)
    again = job_packs(run, [member for member in run.ids if member not in first])
    assert list(map(names.members_job_name, again)) == list(map(names.members_job_name, others))


def test_one_that_failed_before_is_launched_by_itself(tmp_path: Path) -> None:
    run = run_of(tmp_path, 8)
    members.write_failure(run.store, run.ids[1], "its loss became nan")
    bad, good = run.ids[1], [member for member in run.ids if member != run.ids[1]]
    assert to_launch(run, run.states()) == [good[:4], good[4:], [bad]]
