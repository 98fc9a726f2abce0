"""States of jobs and pods, read from what a Kubernetes 1.34 with the Training Operator 1.9.3 gave (kube_statuses.json).

The file holds status and name as they were; addresses, images and node names are replaced."""

import json
from pathlib import Path

import pytest

from consort.kube.status import JobStatus, job_status, pod_status

SEEN = json.loads((Path(__file__).parent / "kube_statuses.json").read_text())

JOBS = {
    "job-new": "waiting", "job-created": "waiting", "job-running": "running", "job-succeeded": "succeeded",
    "job-failed-by-exit-code-3": "failed", "job-failed-by-deadline": "failed", "job-suspended": "suspended",
    "job-restarting-after-143": "restarting", "job-running-again": "running",
    "batch-starting": "waiting", "batch-running": "running", "batch-about-to-complete": "running",
    "batch-complete": "succeeded", "batch-suspended": "suspended", "batch-failing": "running",
    "batch-trying-again": "restarting", "batch-failed-by-exit-code-5": "failed", "batch-failed-by-deadline": "failed",
    "batch-failed-after-retries": "failed"}

PODS = {  # name -> phase, exit code, reason, stuck
    "starting": ("Pending", None, "", None),
    "running": ("Running", None, "", None),
    "succeeded": ("Succeeded", 0, "", None),
    "exit-code-3": ("Failed", 3, "", None),
    "exit-code-143": ("Failed", 143, "", None),
    "out-of-memory": ("Failed", 137, "OOMKilled", None),
    "evicted": ("Failed", 137, "Evicted", None),
    "program-missing": ("Failed", 128, "StartError", "StartError: failed to create containerd task"),
    "image-not-pulled": ("Pending", None, "", "ErrImagePull: failed to pull and unpack image"),
    "image-back-off": ("Pending", None, "", "ImagePullBackOff: Back-off pulling image"),
    "image-name-invalid": ("Pending", None, "", "InvalidImageName: Failed to apply default image tag"),
    "secret-missing": ("Pending", None, "", 'CreateContainerConfigError: secret "absent" not found'),
    "no-node": ("Pending", None, "", "Unschedulable: 0/1 nodes are available"),
    "init-container-running": ("Pending", None, "", None),
    "init-container-failed": ("Failed", 5, "", None),
    "init-container-and-container-succeeded": ("Succeeded", 0, "", None)}


def test_every_status_that_was_seen_has_an_expectation():
    assert SEEN["jobs"].keys() == JOBS.keys()
    assert SEEN["pods"].keys() == PODS.keys()


@pytest.mark.parametrize("name", JOBS)
def test_state_of_a_job(name):
    status = job_status(SEEN["jobs"][name])
    assert status.state == JOBS[name]
    assert (status.finished_at is not None) == (status.state in ("succeeded", "failed"))


def test_a_job_that_failed_by_its_exit_code_has_a_reason_and_a_time():
    assert job_status(SEEN["jobs"]["job-failed-by-exit-code-3"]) == JobStatus(
        "failed", "PyTorchJobFailed", 'job "exit3" is failing because "Master" replica(s) failed.',
        "2026-11-24T00:58:04Z")
    status = job_status(SEEN["jobs"]["batch-failed-by-exit-code-5"])
    assert status.reason == "PodFailurePolicy"
    assert "Container predict for pod" in status.message


def test_deadline_is_told_from_other_failures():
    assert "longer than specified deadline" in job_status(SEEN["jobs"]["job-failed-by-deadline"]).message
    assert job_status(SEEN["jobs"]["batch-failed-by-deadline"]).reason == "DeadlineExceeded"


def test_a_condition_that_is_not_true_any_more_does_not_count():
    succeeded = SEEN["jobs"]["job-succeeded"]
    assert {c["type"]: c["status"] for c in succeeded["status"]["conditions"]}["Running"] == "False"
    only_past = {"status": {"conditions": [c for c in succeeded["status"]["conditions"] if c["type"] == "Running"]}}
    assert job_status(only_past).state == "waiting"


@pytest.mark.parametrize("name", PODS)
def test_state_of_a_pod(name):
    phase, exit_code, reason, stuck = PODS[name]
    status = pod_status(SEEN["pods"][name])
    assert (status.phase, status.exit_code, status.reason) == (phase, exit_code, reason)
    assert (status.stuck is None) == (stuck is None)
    assert (status.stuck or "").startswith(stuck or "")
    assert status.restarts == 0
    assert status.node == (None if name == "no-node" else "node-1")


def test_message_of_an_evicted_pod_says_what_it_used():
    assert pod_status(SEEN["pods"]["evicted"]).message == 'Usage of EmptyDir volume "s" exceeds the limit "5Mi".'


@pytest.mark.parametrize(("name", "container"), [
    ("init-container-running", "predict"), ("init-container-failed", "predict"),
    ("init-container-and-container-succeeded", "report"), ("running", "pytorch"), ("starting", "")])
def test_container_that_runs_or_ended(name, container):
    assert pod_status(SEEN["pods"][name]).container == container


def test_drained_node_is_the_reason_and_not_the_signal():
    # What the node lifecycle controllers leave: kubernetes.io/docs/concepts/workloads/pods/disruptions.
    pod = json.loads(json.dumps(SEEN["pods"]["exit-code-143"]))
    pod["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                                        "message": "preempting to accommodate a higher priority pod"})
    assert pod_status(pod).reason == "PreemptionByScheduler"
    assert pod_status(pod).message.startswith("preempting")


def test_restarts_of_containers_are_counted():
    pod = json.loads(json.dumps(SEEN["pods"]["running"]))
    pod["status"]["containerStatuses"][0]["restartCount"] = 2
    assert pod_status(pod).restarts == 2


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {}}, {"status": {"conditions": None}}])
def test_objects_that_nobody_has_looked_at_yet(status):
    assert job_status({"metadata": {"name": "a"}, **status}).state == "waiting"
    assert pod_status({"metadata": {"name": "a"}, **status}).phase == "Unknown"
