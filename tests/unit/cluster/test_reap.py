"""What the reaper takes and what it leaves, on a cluster in memory."""

import pytest

from consort.cluster.reap import collect
from consort.kube.names import MANAGED_BY, MANAGED_BY_LABEL
from fake_cluster import FakeCluster


def conditions(kind: str) -> dict:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


@pytest.fixture
def cluster() -> FakeCluster:
    """A Workflow that runs and the job of a member that belongs to it."""
    there = FakeCluster()
    workflow = there.create({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}})
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": workflow["metadata"]["uid"]}
    there.create({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {}, "metadata": {
        "name": "member", "labels": {MANAGED_BY_LABEL: MANAGED_BY}, "ownerReferences": [owner]}})
    return there


@pytest.mark.parametrize(("state", "taken"), [("Running", True), ("Succeeded", True), ("Failed", False)])
def test_a_job_is_taken_after_its_owner_has_ended_unless_its_log_is_needed(
        cluster: FakeCluster, state: str, taken: bool) -> None:
    cluster.set_status("PyTorchJob", "member", conditions(state))
    assert collect(cluster) == []  # type: ignore[arg-type]

    cluster.set_status("Workflow", "w", {"phase": "Failed"})

    assert collect(cluster) == (["PyTorchJob member"] if taken else [])  # type: ignore[arg-type]
    assert (cluster.get("PyTorchJob", "member") is None) == taken
