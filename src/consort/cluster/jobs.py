"""One batch/v1 Job, run to its end: created, or adopted where it runs already."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from consort.cluster.adopt import create_or_adopt
from consort.cluster.explain import last_lines, why_stuck
from consort.cluster.follow import Happening, feed
from consort.cluster.silence import Silence
from consort.errors import ClusterUnavailable, IncompleteRun, InputError, StepFailed
from consort.events import Listener, Said, StepEnded, read_line
from consort.kube import names
from consort.kube.status import JobStatus, job_status, pod_status

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

CLEAR_SECONDS = 120.0
GRACE_SECONDS = 300.0
"""Beyond the Job's own deadline, before its silence is an error."""


def run_job(api: "KubernetesApi", job: dict, owner: Mapping[str, Any] | None, listen: Listener,
            check: Callable[[dict], None] = lambda known: None) -> None:
    """Create the Job, or adopt the running one of this name; an ended one is replaced. Raises StepFailed with its end.

    owner: reference to what the Job shall not outlive; an adopted one that has owners gets this one too.
    listen: is told what the Job waits for. check: raises where a running one is not to be adopted."""
    name = job["metadata"]["name"]
    labels = job["metadata"]["labels"]
    selector = ",".join(f"{key}={labels[key]}" for key in (names.MANAGED_BY_LABEL, names.RUN_LABEL))
    with (Silence(api, listen, lambda: f"the Job {name} has not ended") as silence,
          feed(api, {"Job": selector, "Pod": f"{names.JOB_LABEL}={name}"}) as events):
        current = create_or_adopt(api, job, owner, _has_ended, CLEAR_SECONDS, check)
        deadline = time.monotonic() + job["spec"]["activeDeadlineSeconds"] + GRACE_SECONDS
        while time.monotonic() < deadline:
            happening = events.next(1.0)
            if happening is not None and happening.source == "Pod" and (stuck := pod_status(happening.object).stuck):
                silence.listen(Said(f"waiting: {why_stuck(happening.object, stuck)}", warns=True))
            status = _status(happening, name, current["metadata"]["uid"])
            if status is not None and status.state == "succeeded":
                api.delete("Job", name)
                return
            if status is not None and status.state == "failed":
                raise _failure(api, name, status)
    raise ClusterUnavailable(f"the Job {name} neither ended nor failed within its deadline; `kubectl describe job "
                             f"{name} -n {api.namespace}` tells more.")


def refuse_other_work(wanted: dict) -> Callable[[dict], None]:
    """A `check`: raises InputError where the Job of this name was given other arguments, and does something else."""
    def check(known: dict) -> None:
        if _arguments(known) != _arguments(wanted):
            raise InputError(f"the Job {wanted['metadata']['name']} still runs, and does something else: "
                             f"`consort {' '.join(_arguments(known))}`. Wait until it has ended, or delete it.")
    return check


def _arguments(job: dict) -> list[str]:
    """Of its containers."""
    return [argument for container in job["spec"]["template"]["spec"]["containers"] for argument in container["args"]]


def _has_ended(job: dict) -> bool:
    return job_status(job).state in ("succeeded", "failed")


def _status(happening: Happening | None, name: str, uid: str) -> JobStatus | None:
    """The state of this Job, where it is what changed."""
    if happening is None or happening.source != "Job" or happening.object["metadata"]["uid"] != uid:
        return None
    if happening.type == "DELETED":
        raise StepFailed(name, IncompleteRun.exit_code, "the Job was deleted. The same command creates it again.")
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
