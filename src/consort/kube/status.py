"""How jobs and pods are, read from the objects that the API server gives. Lists leave out `kind`, so none is needed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "restarting", "succeeded", "failed", "suspended"]

_STATES: dict[str, State] = {
    # The first of these conditions that is true decides. PyTorchJobs succeed, Jobs are complete; a Job that is about
    # to end still runs, as its pods are not gone.
    "Succeeded": "succeeded", "Complete": "succeeded", "Failed": "failed", "Suspended": "suspended",
    "SuccessCriteriaMet": "running", "FailureTarget": "running", "Restarting": "restarting", "Running": "running"}

_CANNOT_START = {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName",
                 "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError",
                 "ContainerCannotRun"}
_SAYS_NOTHING = {"Error", "Completed"}
"""Reasons of a container's end that its exit code tells better."""


@dataclass(frozen=True)
class JobStatus:
    """State of a PyTorchJob or Job."""

    state: State
    reason: str = ""
    message: str = ""
    finished_at: str | None = None
    """RFC 3339; only of jobs that succeeded or failed."""


@dataclass(frozen=True)
class PodStatus:
    name: str
    node: str | None
    phase: str
    restarts: int
    """Of its containers, in place; a job's new pods start at 0."""
    exit_code: int | None
    """Of the first container that failed, or of the last one where all ended well; None while something runs."""
    reason: str
    """Why it ended, where the exit code does not tell: OOMKilled, Evicted, DeadlineExceeded, PreemptionByScheduler."""
    message: str
    stuck: str | None
    """Reason and message of what keeps the pod from starting; waiting does not help against most of them."""
    container: str = ""
    """The container that runs, or the one that exit code and reason are about."""


def job_status(job: Mapping[str, Any]) -> JobStatus:
    """The state of a PyTorchJob or Job."""
    status = job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    for kind, state in _STATES.items():
        if kind in conditions:
            decisive = conditions[kind]
            ended = state in ("succeeded", "failed")
            # The operator gives a job that failed by its exit code no completionTime.
            finished = status.get("completionTime") or decisive.get("lastTransitionTime") if ended else None
            return JobStatus(state, decisive.get("reason", ""), decisive.get("message", ""), finished)
    if status.get("ready"):
        return JobStatus("running")
    newest = list(conditions.values())[-1] if conditions else {}
    return JobStatus("restarting" if status.get("failed") else "waiting", newest.get("reason", ""),
                     newest.get("message", ""))


def pod_status(pod: Mapping[str, Any]) -> PodStatus:
    """The state of a pod, and why it ended or cannot start."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    name, ended = _end(containers)
    disrupted = next(_true(status, "DisruptionTarget"), {})
    reason = ended.get("reason", "")
    return PodStatus(
        name=pod["metadata"]["name"],
        node=(pod.get("spec") or {}).get("nodeName"),
        phase=status.get("phase", "Unknown"),
        restarts=sum(c.get("restartCount", 0) for c in containers),
        exit_code=ended.get("exitCode"),
        reason=status.get("reason") or disrupted.get("reason") or ("" if reason in _SAYS_NOTHING else reason),
        message=(status.get("message") or disrupted.get("message") or ended.get("message", "")).strip(),
        stuck=_stuck(status, containers),
        container=name)


def _end(containers: list[dict]) -> tuple[str, dict]:
    """(name, how it ended) of the first container that failed, else of what runs, else of the last one."""
    states = [(c["name"], c.get("state") or {}) for c in containers]
    for name, state in states:
        if state.get("terminated", {}).get("exitCode"):
            return name, state["terminated"]
    for name, state in states:
        if "terminated" not in state:
            return name if "running" in state else "", {}
    return (states[-1][0], states[-1][1]["terminated"]) if states else ("", {})


def _stuck(status: Mapping[str, Any], containers: list[dict]) -> str | None:
    for container in containers:
        for state in (container.get("state") or {}).values():
            if state.get("reason") in _CANNOT_START:
                return f"{state['reason']}: {state.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition.get("reason"):
            return f"{condition['reason']}: {condition.get('message', '')}".rstrip(": ")
    return None


def _true(status: Mapping[str, Any], kind: str) -> Iterator[dict]:
    return (c for c in status.get("conditions") or [] if c["type"] == kind and c["status"] == "True")
