"""Second trainings on a cluster in memory: a job each, beside the Experiments; the winners are named by both."""

import json
import threading
from pathlib import Path

import pytest
from test_cluster_search import HARDWARE, IMAGES, Told, planned

from consort.cluster.target import ClusterTarget
from consort.errors import IncompleteRun
from consort.events import Event, Progressed, line
from consort.kube import names
from consort.kube.experiment import second_training_job
from consort.kube.training import MEMBER_JOB
from consort.run.run import Run
from consort.search.arms import arms_of, open_tried
from consort.search.retraining import Finalist, finalists
from consort.search.stages import execute_search
from consort.search.trials import Candidate, search_of
from consort.search.winners import winners
from consort.store.folder import FolderStore
from fake_cluster import FakeCluster
from fake_katib import FakeKatib, SecondTrainings, write_record


@pytest.fixture
def of(tmp_path: Path) -> Run:
    return planned(FolderStore(tmp_path / "store"))


def search(of: Run, cluster: FakeCluster, operator: SecondTrainings) -> Told:
    told = Told()
    with FakeKatib(cluster, of), operator.served():
        execute_search(of, ClusterTarget(cluster, told), "search")  # type: ignore[arg-type]
    return told


def of_kind(of: Run, kind: str) -> list[Finalist]:
    there, tried = open_tried(of, arms_of(search_of(of.plan)), HARDWARE)
    return finalists(there, tried)[kind]


def test_the_best_of_every_kind_are_trained_once_more_as_jobs_and_only_once(of: Run) -> None:
    cluster = FakeCluster()
    operator = SecondTrainings(cluster, of)
    told = search(of, cluster, operator)
    again = {one.proposal.trial for kind in ("single", "joint") for one in of_kind(of, kind)}
    assert len(again) == 4, "a third of the six trials, of two kinds"
    assert sorted(operator.created) == sorted(again)
    assert not cluster.list("PyTorchJob"), "the store has what they brought"
    said = told.out.getvalue()
    assert "training the best 2 candidates of single and of joint a second time" in said
    assert "second trainings: single-second 0/2, joint-second 0/2" in said and "joint-second 2/2" in said
    results = json.loads(of.read("search.json"))["retraining"]
    assert [row["reward_second"] for row in results["rows"]] == [0.4] * 4

    search(of, cluster, operator)
    assert len(operator.created) == 4


def test_the_winner_is_the_one_of_the_best_mean(of: Run) -> None:
    cluster, rewards = FakeCluster(), iter((0.30, 0.36, 0.30, 0.30))
    luck: dict[str, float] = {}
    operator = SecondTrainings(cluster, of, lambda trial: luck.setdefault(trial, 0.0))
    with FakeKatib(cluster, of):  # the trials alone
        ClusterTarget(cluster, Told()).searching(of).try_all()  # type: ignore[arg-type]
    luck |= {one.proposal.trial: next(rewards) for kind in ("single", "joint") for one in of_kind(of, kind)}
    search(of, cluster, operator)
    first, second = of_kind(of, "single")
    assert first.first.reward > second.first.reward  # type: ignore[operator]
    assert second.mean_reward > first.mean_reward  # type: ignore[operator]
    there, tried = open_tried(of, arms_of(search_of(of.plan)), HARDWARE)
    won = winners(there, tried)
    assert won["single"] == second.first and won["joint"] == of_kind(of, "joint")[0].first
    results = json.loads(of.read("search.json"))["retraining"]
    assert [row["winner"] for row in results["rows"]] == [False, True, True, False]


def test_a_job_that_an_earlier_launcher_left_is_adopted(of: Run) -> None:
    cluster = FakeCluster()
    with FakeKatib(cluster, of):
        ClusterTarget(cluster, Told()).searching(of).try_all()  # type: ignore[arg-type]
    left = of_kind(of, "single")[0]
    operator, gate = SecondTrainings(cluster, of), threading.Event()
    operator.act[left.proposal.trial] = lambda job: (gate.wait(30), operator.succeed(job))[1]
    cluster.create(second_training_job(left.proposal.trial, "single", left.first.networks, of.store.uri, of.study,
                                       of.plan.run, IMAGES))
    threading.Timer(0.5, gate.set).start()
    search(of, cluster, operator)
    assert len(operator.created) == 4 and operator.created.count(left.proposal.trial) == 1


def test_how_far_one_is_is_told(of: Run) -> None:
    """Or a person would read that its pod says nothing."""
    cluster, told, heard = FakeCluster(), Told(), threading.Event()
    operator = SecondTrainings(cluster, of)

    def listen(event: Event) -> None:
        told(event)
        if isinstance(event, Progressed):
            heard.set()

    with FakeKatib(cluster, of):
        ClusterTarget(cluster, told).searching(of).try_all()  # type: ignore[arg-type]
    trial = of_kind(of, "joint")[0].proposal.trial

    def tell(job: str) -> None:
        progress = Progressed("a-member-s500-0123456789", 1.0, 2, 5, 10, 0.5, 100.0, 1.0, trial=trial)
        cluster.print_line(f"{job}-master-0", "pytorch", line(progress))
        heard.wait(30)
        operator.succeed(job)

    operator.act[trial] = tell
    with FakeKatib(cluster, of), operator.served():
        execute_search(of, ClusterTarget(cluster, listen), "search")  # type: ignore[arg-type]
    assert f"{trial}  member 1 of 1" in told.out.getvalue()


def test_one_that_cannot_start_is_tried_again_by_the_same_command(of: Run) -> None:
    cluster = FakeCluster()
    operator = SecondTrainings(cluster, of)
    with FakeKatib(cluster, of):
        ClusterTarget(cluster, Told()).searching(of).try_all()  # type: ignore[arg-type]
    lost = of_kind(of, "joint")[1].proposal.trial

    def end_without_a_record(job: str) -> None:
        operator.end_pod(job, 1)
        operator.condition(job, "Failed", "it ended with exit code 1")

    operator.act[lost] = end_without_a_record
    with pytest.raises(IncompleteRun, match=rf"(?s)second trainings .* missing.*{lost}.*tries again"):
        search(of, cluster, operator)
    assert [row["state"] for row in json.loads(of.read("search.json"))["retraining"]["rows"]].count(None) == 1
    del operator.act[lost]
    cluster.delete("Pod", f"{lost}-master-0")
    search(of, cluster, operator)
    assert [row["state"] for row in json.loads(of.read("search.json"))["retraining"]["rows"]] == ["done"] * 4


def test_one_on_other_hardware_is_told(of: Run) -> None:
    cluster = FakeCluster()
    with pytest.raises(IncompleteRun, match="nodes of one kind"):
        search(of, cluster, SecondTrainings(cluster, of, hardware="another"))


def test_what_has_a_record_needs_no_job(of: Run) -> None:
    cluster = FakeCluster()
    with FakeKatib(cluster, of):
        ClusterTarget(cluster, Told()).searching(of).try_all()  # type: ignore[arg-type]
    for kind in ("single", "joint"):
        for one in of_kind(of, kind):
            write_record(of, Candidate(kind, one.first.networks, second=True), 0.6, HARDWARE)
    search(of, cluster, operator := SecondTrainings(cluster, of))
    assert operator.created == []


def test_its_job_is_a_trial_s_without_katib(of: Run) -> None:
    job = second_training_job("t-0123456789", "joint", ("a", "b"), "s3://b/p", of.study, of.plan.run, IMAGES)
    (container,) = MEMBER_JOB.containers(job)
    assert container["args"][:7] == ["trial", of.ref, "--second", "--kind", "joint", "--networks", "a,b"]
    assert job["metadata"]["name"] == "t-0123456789"
    assert job["metadata"]["annotations"] == {names.STORE_ANNOTATION: "s3://b/p"}
    assert not list(MEMBER_JOB.not_one_process(job))
