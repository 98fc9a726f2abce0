"""How far a run is, asked of a cluster in memory."""

from pathlib import Path

import pytest

from consort import members
from consort.cluster.member_log import member_lines, member_pods
from consort.cluster.overview import active_jobs, member_states
from consort.events import Progressed, Saved, StepEnded, line
from consort.kube import names
from consort.kube.pytorch_job import JOB_LABEL, ROLE_LABEL
from consort.store import Store, keys
from consort.store.folder import FolderStore
from fake_cluster import FakeCluster

MEMBERS = ["wrn-10-1-s0-aaaaaaaaaa", "wrn-10-1-s1-bbbbbbbbbb", "wrn-10-1-s2-cccccccccc"]


def start_job(cluster: FakeCluster, store: Store, phase: str, *pack: str) -> None:
    """The job of these members and its pod, which printed a line of progress for each."""
    labels = {**names.labels(names.MEMBER, "s", "r"), **names.member_labels(pack)}
    name = names.members_job_name(pack)
    cluster.create({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {}, "metadata": {
        "name": name, "labels": labels, "annotations": {names.STORE_ANNOTATION: store.uri}}})
    on_pod = {**labels, JOB_LABEL: name, ROLE_LABEL: "master"}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-master-0", "labels": on_pod},
                    "spec": {"containers": [{"name": "pytorch", "image": "i"}]}})
    cluster.set_status("Pod", f"{name}-master-0", {"phase": phase})
    for number, member in enumerate(pack):
        cluster.print_line(f"{name}-master-0", "pytorch",
                           line(Progressed(member, 1.5 + number, 5, 3, 4, 0.5, 100.0, 1.0)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "store")


def test_logs_are_read_of_so_many_running_members(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consort.cluster.overview.MAX_LOGS", 1)
    cluster = FakeCluster()
    for member, phase in zip(MEMBERS, ["Pending", "Running", "Running"], strict=True):
        start_job(cluster, store, phase, member)
    states = member_states(cluster, store, MEMBERS)  # type: ignore[arg-type]
    assert [state.epoch for state in states] == [None, 1.5, None]


def test_members_of_a_pack_have_a_state_each_and_one_log_is_read(store: Store) -> None:
    cluster = FakeCluster()
    start_job(cluster, store, "Running", *MEMBERS)
    members.write_failure(store, MEMBERS[1], "the loss became nan")
    states = member_states(cluster, store, [*MEMBERS, "wrn-10-1-s9-eeeeeeeeee"])  # type: ignore[arg-type]
    assert [(state.state, state.epoch) for state in states] == [
        ("waiting", 1.5), ("failed", None), ("waiting", 3.5), ("to train", None)]
    assert states[0].pod == states[2].pod == f"{names.members_job_name(MEMBERS)}-master-0"
    assert cluster.requests["log", "Pod"] == 1


def test_of_members_without_a_job_the_store_tells_how_far_they_came_and_why_they_ended(store: Store) -> None:
    store.write(keys.member_file(MEMBERS[0], "resume/1200/state.safetensors"), b"")
    members.write_setback(store, MEMBERS[1], "OOMKilled")
    states = member_states(FakeCluster(), store, MEMBERS)  # type: ignore[arg-type]
    assert [(state.state, state.detail) for state in states] == [
        ("to train", "its state at step 1,200 is saved"), ("to train", "OOMKilled"), ("to train", "")]


def test_the_job_that_trains_a_member_goes_before_one_that_ended(store: Store) -> None:
    cluster = FakeCluster()
    start_job(cluster, store, "Running", MEMBERS[0])
    start_job(cluster, store, "Failed", *MEMBERS)
    cluster.set_status("PyTorchJob", names.members_job_name(MEMBERS),
                       {"conditions": [{"type": "Failed", "status": "True"}]})
    first, second, _ = member_states(cluster, store, MEMBERS)  # type: ignore[arg-type]
    assert (first.state, second.state) == ("waiting", "failed")


@pytest.mark.parametrize(("tail", "follow", "expected"), [
    (None, False, ["loading", "a1", "a2"]), (2, False, ["a1", "a2"]), (1, True, ["a2"])])
def test_the_log_of_a_member_is_what_its_pack_prints_of_it(
        store: Store, tail: int | None, follow: bool, expected: list[str]) -> None:
    cluster, (a, b) = FakeCluster(), MEMBERS[:2]
    start_job(cluster, store, "Succeeded", a, b)
    [pod] = member_pods(cluster, a)  # type: ignore[arg-type]
    assert [p["metadata"]["name"] for p in member_pods(cluster, b)] == [pod["metadata"]["name"]]  # type: ignore[arg-type]
    assert member_pods(cluster, MEMBERS[2]) == []  # type: ignore[arg-type]
    texts = {"loading": "loading", "a1": line(Saved(a, 1)), "b1": line(StepEnded("Busy", "in use", 175, b)),
             "a2": line(Saved(a, 2)), "b2": line(Saved(b, 9))}
    cluster._logs.clear()
    for text in texts.values():
        cluster.print_line(pod["metadata"]["name"], "pytorch", text)
    found = list(member_lines(cluster, pod, a, follow, tail))  # type: ignore[arg-type]
    assert found == [texts[name] for name in expected]


def test_jobs_are_counted_by_run_until_they_end(store: Store) -> None:
    cluster = FakeCluster()
    for member in MEMBERS:
        start_job(cluster, store, "Running", member)
    cluster.set_status("PyTorchJob", MEMBERS[0], {"conditions": [{"type": "Succeeded", "status": "True"}]})
    assert active_jobs(cluster) == {"s/r": 2}  # type: ignore[arg-type]


def test_a_member_whose_record_is_damaged_is_said_to_be(store: Store) -> None:
    store.write(keys.member_record(MEMBERS[1]), b'{"id": "')
    states = member_states(FakeCluster(), store, MEMBERS)  # type: ignore[arg-type]
    assert [state.state == "damaged" for state in states] == [member == MEMBERS[1] for member in MEMBERS]
    assert f"`consort rm {MEMBERS[1]}`" in states[1].detail
