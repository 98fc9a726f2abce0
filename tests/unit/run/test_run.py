"""What a run has and lacks, from a store in which members are in every state."""

from collections import Counter
from pathlib import Path

import pytest
from safetensors.torch import save_file

from consort import members
from consort.errors import IntegrityError, MissingKey
from consort.members.records import MemberRecord
from consort.models.families import build
from consort.run.member_state import stored_states
from consort.run.overview import overviews
from consort.run.plan import plan
from consort.run.run import NOT_IMPORTED, Run, open_run
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.file import parse_study

STUDY = """
name = "tiny"
data = { source = "digits", train_images = 50, val_images = 20 }
recipe = { batch_size = 50 }
[architectures]
"wrn-10-1" = 4
"wrn-10-3" = { weights = "w.safetensors" }
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    save_file(build("wrn-10-3", 10).state_dict(), tmp_path / "w.safetensors")
    store, cache = FolderStore(tmp_path / "store"), tmp_path / "cache"
    return Run(plan(store, parse_study(STUDY, "study.toml"), tmp_path, cache, study_text=STUDY), store, cache)


def finish(run: Run, member: str) -> None:
    members.write_record(run.store, MemberRecord(
        id=member, architecture="wrn-10-1", data=run.plan.data.fingerprint, recipe={}, seed=0, files={}, macs=1,
        params=1, input="8x8", val_accuracy=0.5, precision="float32"))


def test_members_are_done_failed_to_train_or_to_import(run: Run) -> None:
    done, failed, evicted, untouched, imported = run.ids
    finish(run, done)
    members.write_failure(run.store, failed, "the loss became nan")
    members.write_setback(run.store, evicted, "its pod was evicted")
    assert run.states() == {done: "done", failed: "failed", evicted: "to train", untouched: "to train",
                            imported: "to import"}
    assert [record.id for record in run.records()] == [done]
    assert [spec.id for spec in run.to_train()] == [evicted, untouched]
    assert run.unfinished() == {failed: "the loss became nan", evicted: "its pod was evicted",
                                untouched: "not finished", imported: NOT_IMPORTED}
    assert run.unfinished({untouched: "killed"})[untouched] == "killed"


def test_of_an_interrupted_member_it_is_said_how_far_its_saved_state_is(run: Run) -> None:
    interrupted, other, *_ = run.ids
    for step in (900, 1200):
        run.store.write(keys.member_file(interrupted, f"resume/{step:08d}/state.safetensors"), b"")
    run.store.write(keys.resume_pointer(interrupted), b"{}")
    states = {state.member: state for state in stored_states(run)}
    assert (states[interrupted].state, states[interrupted].detail) == ("to train", "its state at step 1,200 is saved")
    assert states[other].detail == ""


def test_its_files_lie_below_its_name(run: Run) -> None:
    with pytest.raises(MissingKey):
        run.summary()
    run.write("summary.json", b'{"answer": 1}')
    assert run.summary() == {"answer": 1} and run.has("summary.json") and not run.has("report.html")
    assert run.store.read(f"studies/{run.ref}/summary.json") == run.read("summary.json")


@pytest.mark.parametrize("damaged", [b"", b'{"answer": ', b"7", b"\xff"])
def test_a_damaged_summary_is_named_and_its_run_is_listed_all_the_same(run: Run, damaged: bytes) -> None:
    run.write("summary.json", damaged)
    with pytest.raises(IntegrityError, match=f"summary.json is not readable.*consort evaluate {run.ref}"):
        run.summary()
    (listed,) = overviews(run.store, {})
    assert (listed.run, listed.answer) == (run.ref, "")


@pytest.mark.parametrize("damaged", [b"", b'{"id": "x"}', b"7", b"\xff"])
def test_beside_a_damaged_member_the_others_are_shown_and_it_is_named(run: Run, damaged: bytes) -> None:
    done, altered, failed, *_ = run.ids
    finish(run, done)
    run.store.write(keys.member_record(altered), damaged)
    run.store.write(keys.member_failure(failed), damaged)
    states = {state.member: state for state in stored_states(run)}
    assert [states[member].state for member in run.ids] == ["done", "damaged", "damaged", "to train", "to import"]
    for member in (altered, failed):
        assert f"`consort rm {member}`" in states[member].detail
    faults: dict[str, IntegrityError] = {}
    (listed,) = overviews(run.store, faults)
    assert (listed.done, listed.failed, listed.damaged, list(faults)) == (1, 1, 1, [altered])
    assert f"members/{altered}/member.json is not a readable" in str(members.all_damaged(faults))


class Counted(FolderStore):
    """A store that counts how often each file is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def read(self, key: str) -> bytes:
        self.reads[key] += 1
        return super().read(key)


def test_of_runs_that_share_members_each_record_is_read_once(run: Run) -> None:
    more = STUDY.replace('"wrn-10-1" = 4', '"wrn-10-1" = 5')
    run.replan(parse_study(more, "study.toml"), more)
    finish(run, run.ids[0])
    store = Counted(run.store.root)  # type: ignore[attr-defined]
    assert sorted((listed.members, listed.done) for listed in overviews(store, {})) == [(5, 1), (6, 1)]
    assert store.reads[f"members/{run.ids[0]}/member.json"] == 1


def test_it_is_opened_again_from_the_store_alone(run: Run) -> None:
    assert open_run(run.store, run.ref, run.cache) == run
