"""How far a run is, asked of a cluster in memory."""

from pathlib import Path

import pytest

from consort.cluster.overview import active_jobs, member_states
from consort.events import Progressed, line
from consort.kube import names
from consort.kube.pytorch_job import JOB_LABEL, ROLE_LABEL
from consort.store.folder import FolderStore
from fake_cluster import FakeCluster

MEMBERS = ["wrn-10-1-s0-aaaaaaaaaa", "wrn-10-1-s1-bbbbbbbbbb", "wrn-10-1-s2-cccccccccc"]


def start_job(cluster: FakeCluster, member: str, phase: str) -> None:
    """A member's job and its pod, which printed a line of progress."""
    labels = {**names.labels(names.MEMBER, "s", "r"), names.MEMBER_LABEL: member}
    cluster.create({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
                    "metadata": {"name": member, "labels": labels}, "spec": {}})
    on_pod = {**labels, JOB_LABEL: member, ROLE_LABEL: "master"}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{member}-master-0", "labels": on_pod},
                    "spec": {"containers": [{"name": "pytorch", "image": "i"}]}})
    cluster.set_status("Pod", f"{member}-master-0", {"phase": phase})
    cluster.print_line(f"{member}-master-0", "pytorch",
                       line(Progressed(member, 1.5, 2, 3, 4, 0.5, 100.0, 1.0)))


def test_logs_are_read_of_so_many_running_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consort.cluster.overview.MAX_LOGS", 1)
    cluster = FakeCluster()
    for member, phase in zip(MEMBERS, ["Pending", "Running", "Running"], strict=True):
        start_job(cluster, member, phase)
    states = member_states(cluster, FolderStore(tmp_path / "store"), MEMBERS)  # type: ignore[arg-type]
    assert [state.epoch for state in states] == [None, 1.5, None]


def test_jobs_are_counted_by_run_until_they_end() -> None:
    cluster = FakeCluster()
    for member in MEMBERS:
        start_job(cluster, member, "Running")
    cluster.set_status("PyTorchJob", MEMBERS[0], {"conditions": [{"type": "Succeeded", "status": "True"}]})
    assert active_jobs(cluster) == {"s/r": 2}  # type: ignore[arg-type]
