"""Who is trained a second time, and who then wins; what training costs where trials share members."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_katib_metrics import RECORD
from test_trial_ids import STUDY

from consort.run.plan import plan
from consort.run.run import Run
from consort.search import trials
from consort.search.arms import Arm, Proposal
from consort.search.results import _macs
from consort.search.retraining import Finalist, best, finalists, ranked, second_arms
from consort.search.trials import search_of
from consort.search.winners import final_text, winners
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from fake_katib import write_record

HARDWARE = "here"
rewards = st.floats(0, 1)


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of a search whose two best are trained twice; nothing is tried yet."""
    folder = tmp_path_factory.mktemp("search")
    store = FolderStore(folder / "store")
    study = parse_study(f"{STUDY}\n[search.final]\nretrain = 2\n", "study.toml")
    return Run(plan(store, study, Path(), folder / "cache"), store, folder / "cache")


def tried(of: Run, found: list[float], sampler: str = "random", first: int = 0) -> Arm:
    """An arm whose trials have reached these rewards, from the first-th candidate of the space on."""
    arm, space = Arm("single", sampler, False), search_of(of.plan).space("single")
    for number, (encoding, reward) in enumerate(zip(list(space.candidates())[first:], found, strict=False)):
        networks = space.decode(encoding)
        write_record(of, trials.Candidate("single", networks), reward, HARDWARE)
        arm.proposals.append(Proposal(number, encoding, networks, trials.trial_id(of.plan, networks, HARDWARE)))
    return arm


def test_the_best_of_all_arms_are_trained_again_each_once(of: Run) -> None:
    arms = [tried(of, [0.5, 0.7, 0.6]), tried(of, [0.6, 0.9], "evolution", first=2)]  # the third of one is its first
    assert [record.reward for record in ranked(of, arms)["single"]] == [0.9, 0.7, 0.6, 0.5]
    found = finalists(of, arms)["single"]
    assert [one.first.reward for one in found] == [0.9, 0.7] and all(one.second is None for one in found)
    (second,) = second_arms({"single": found})
    assert second.name == "single-second" and [p.number for p in second.proposals] == [0, 1]
    assert all(p.second for p in second.proposals)
    assert winners(of, arms)["single"] == found[0].first, "before the second trainings the highest reward leads"


def test_a_second_training_has_new_seeds_and_is_a_trial_of_its_own(of: Run) -> None:
    networks = ("a", "b", "a")
    first, second = (trials.specs(of.plan, networks, again) for again in (False, True))
    assert [spec.seed for spec in first] == [0, 0, 1] and [spec.seed for spec in second] == [500, 500, 501]
    assert trials.trial_id(of.plan, networks, HARDWARE) != trials.trial_id(of.plan, networks, HARDWARE, second=True)


def finalist(first: float, second: float | None) -> Finalist:
    done = replace(RECORD, reward=first)
    return Finalist(done, Proposal(0, (), (), ""), None if second is None else replace(RECORD, reward=second))


@given(st.lists(st.tuples(rewards, rewards), max_size=6))
def test_the_winner_has_the_best_mean_when_all_have_ended(pairs: list[tuple[float, float]]) -> None:
    twice = [finalist(*pair) for pair in pairs]
    found = best(twice)
    assert (found and found.mean_reward) == max((sum(pair) / 2 for pair in pairs), default=None)
    assert best([*twice, finalist(0.0, None)]) is None


def test_one_whose_second_training_failed_does_not_win() -> None:
    kept, failed = finalist(0.5, 0.4), finalist(0.9, 0.9)
    failed = replace(failed, second=replace(RECORD, state="failed", reward=None))
    assert best([failed, kept]) is kept and best([failed]) is None


@pytest.mark.parametrize(("trials_of_an_arm", "retrain", "number"), [
    (60, "", 5), (15, "", 5), (14, "", 4), (6, "", 2), (5, "", 0), (2, "", 0), (2, "final = { retrain = 2 }", 2),
    (60, "final = { retrain = 0 }", 0)])
def test_five_or_a_third_of_the_trials_unless_the_study_says(trials_of_an_arm: int, retrain: str, number: int) -> None:
    text = STUDY.replace("trials = 2", f"trials = {trials_of_an_arm}\n{retrain}")
    search = parse_study(text, "study.toml").search
    assert search is not None and search.retrained == number


def test_every_network_has_as_many_seeds_as_the_joint_winner_has_members(tmp_path: Path) -> None:
    """Mixing pays only where it beats as many copies of each, also of the best singles beside the winners."""
    text = STUDY.replace('kinds = ["single"]', 'kinds = ["joint"]\nmembers = 4')
    planned = plan(FolderStore(tmp_path), parse_study(text, "study.toml"), Path(), tmp_path / "cache")
    joint = replace(RECORD, networks=("net-a", "net-b", "net-b", "net-c"))
    written = tomllib.loads(final_text(planned, {"joint": joint}, ["net-d"]))["architectures"]
    assert {name: len(of["seeds"]) for name, of in written.items()} == dict.fromkeys(
        ("net-a", "net-b", "net-c", "net-d"), 4)


def test_a_member_that_trials_share_costs_once() -> None:
    one = replace(RECORD, members=("a-s0", "b-s0"), member_macs=(10, 5), macs=15)
    other = replace(RECORD, members=("a-s0", "a-s1"), member_macs=(10, 10), macs=20)
    failed = replace(RECORD, state="failed", macs=None)
    assert _macs([one, other, failed]) == 25
    older = replace(RECORD, macs=7)
    assert _macs([older, older]) == 14, "their members' own MACs are not told"
