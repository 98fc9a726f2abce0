"""One batch/v1 Job, run to its end: created, or adopted where it runs already."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from consort.cluster.explain import last_lines
from consort.cluster.follow import Happening, feed
from consort.cluster.owner import share
from consort.errors import AlreadyExists, ClusterUnavailable, IncompleteRun, StepFailed
from consort.events import Listener, Said, StepEnded, read_line
from consort.kube import names
from consort.kube.status import JobStatus, job_status, pod_status

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

CLEAR_SECONDS = 120.0
GRACE_SECONDS = 300.0
"""Beyond the Job's own deadline, before its silence is an error."""


def run_job(api: "KubernetesApi", job: dict, owner: Mapping[str, Any] | None, listen: Listener) -> None:
    """Create the Job, or adopt the running one of this name; an ended one is replaced. Raises StepFailed with its end.

    owner: reference to what the Job shall not outlive; an adopted one that has owners gets this one too.
    listen: is told what the Job waits for."""
    name = job["metadata"]["name"]
    if owner:
        job["metadata"]["ownerReferences"] = [dict(owner)]
    labels = job["metadata"]["labels"]
    selector = ",".join(f"{key}={labels[key]}" for key in (names.MANAGED_BY_LABEL, names.RUN_LABEL))
    with feed(api, {"Job": selector, "Pod": f"{names.JOB_LABEL}={name}"}) as events:
        current = _create_or_adopt(api, job, owner)
        deadline = time.monotonic() + job["spec"]["activeDeadlineSeconds"] + GRACE_SECONDS
        while time.monotonic() < deadline:
            happening = events.next(1.0)
            if happening is not None and happening.source == "Pod" and (stuck := pod_status(happening.object).stuck):
                listen(Said(f"waiting: {stuck}", warns=True))
            status = _status(happening, name, current["metadata"]["uid"])
            if status is not None and status.state == "succeeded":
                api.delete("Job", name)
                return
            if status is not None and status.state == "failed":
                raise _failure(api, name, status)
    raise ClusterUnavailable(f"the Job {name} neither ended nor failed within its deadline; `kubectl describe job "
                             f"{name} -n {api.namespace}` tells more.")


def _create_or_adopt(api: "KubernetesApi", job: dict, owner: Mapping[str, Any] | None) -> dict:
    deadline = time.monotonic() + CLEAR_SECONDS
    while time.monotonic() < deadline:
        try:
            return api.create(job)
        except AlreadyExists:
            there = api.get("Job", job["metadata"]["name"])
        if there is None:
            continue
        if job_status(there).state in ("succeeded", "failed") or "deletionTimestamp" in there["metadata"]:
            api.delete("Job", there["metadata"]["name"], uid=there["metadata"]["uid"])
            time.sleep(1.0)
        else:
            share(api, "Job", there, owner)
            return there
    raise ClusterUnavailable(f"an earlier Job {job['metadata']['name']} is not gone {CLEAR_SECONDS:.0f} s after it was "
                             f"deleted: does its pod hang on a node that is away?")


def _status(happening: Happening | None, name: str, uid: str) -> JobStatus | None:
    """The state of this Job, where it is what changed."""
    if happening is None or happening.source != "Job" or happening.object["metadata"]["uid"] != uid:
        return None
    if happening.type == "DELETED":
        raise StepFailed(name, IncompleteRun.exit_code, "the Job was deleted")
    return job_status(happening.object)


def _failure(api: "KubernetesApi", name: str, status: JobStatus) -> StepFailed:
    """The message and exit code of the first container that failed."""
    for pod in api.list("Pod", f"{names.JOB_LABEL}={name}"):
        states = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
        for state in states:
            ended = state.get("state", {}).get("terminated") or state.get("lastState", {}).get("terminated")
            if ended and ended.get("exitCode"):
                lines = last_lines(api, pod["metadata"]["name"], state["name"])
                said = [e.text for line in lines if isinstance(e := read_line(line), StepEnded)]
                text = said[-1] if said else "\n".join(lines) or str(ended.get("reason"))
                return StepFailed(state["name"], ended["exitCode"], text)
    return StepFailed(name, 1, f"{status.reason}: {status.message}")
