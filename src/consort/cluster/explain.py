"""Why a member's job failed, from what the cluster knows: its condition, its pod's end and last lines, its events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from consort.errors import ConsortError
from consort.events import StepEnded, read_line
from consort.kube import names
from consort.kube.status import JobStatus, pod_status
from consort.kube.training import MEMBER_JOB

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

LAST_LINES = 12
FIRST_OF_RETRIES = 128
"""Exit codes from here on are those of jobs that the operator starts again."""
ENDING_REASONS = ("Evicted", "Preempted", "TaintManagerEviction", "NodeNotReady", "OOMKilling", "ExceededGracePeriod",
                  "FailedKillPod", "NodeShutdown", "DeadlineExceeded")
"""Of events that say why a pod ended; others are about how it started."""


def failure_reason(api: "KubernetesApi", job: str, error: str, status: JobStatus) -> str:
    """One or more lines: what the step said, or how its container ended with the last lines of its log.

    error: what the step said before it ended, where its log was followed.
    """
    if error:
        return error
    pods = api.list("Pod", MEMBER_JOB.pods_of(job))
    for pod in sorted(pods, key=lambda p: pod_status(p).exit_code or 0, reverse=True):
        ended = pod_status(pod)
        lines = last_lines(api, ended.name, MEMBER_JOB.container)
        said = next((e.text for line in reversed(lines) if isinstance(e := read_line(line), StepEnded)
                     and not e.member), "")  # what it said of one member of a pack is not about the others
        if said:
            return said
        how = how_it_ended(api, pod)
        shown = [line for line in lines if read_line(line) is None]
        if how or shown or ended.message:
            return "\n".join([f"its pod {ended.name} ended with {how or 'an unknown state'}",
                              *(shown or ([] if ended.message in how else ended.message.splitlines()[-LAST_LINES:]))])
    told = [f"{e.get('reason')}: {e.get('message')}" for e in api.events(job)][-3:]
    return "\n".join([f"{status.reason}: {status.message}", *told])


def pack_end(api: "KubernetesApi", job: str) -> tuple[bool, dict[str, str]]:
    """(Whether the process of a pack's failed job ended by a defect, which is said of none of its members; what its log
    says at its end of members that it could not bring to theirs)."""
    pods = sorted(api.list("Pod", MEMBER_JOB.pods_of(job)), key=lambda pod: pod["metadata"]["creationTimestamp"])
    if not pods:
        return False, {}
    number = LAST_LINES * len(names.members_of(pods[-1]))
    lines = last_lines(api, pods[-1]["metadata"]["name"], MEMBER_JOB.container, number)
    said = [e for line in lines if isinstance(e := read_line(line), StepEnded)]
    code = pod_status(pods[-1]).exit_code
    crashed = code is not None and 0 < code < FIRST_OF_RETRIES and all(e.member for e in said)
    return crashed, {e.member: e.text for e in said if e.member}


def how_it_ended(api: "KubernetesApi", pod: Mapping[str, Any]) -> str:
    """Why a pod ended, as far as its last known state or its events tell; empty where neither does.

    An event has the reason also of a pod that was gone before its end was seen: which volume was full, which node left.
    """
    ended = pod_status(pod)
    if ended.reason and ended.message and "\n" not in ended.message:
        return f"{ended.reason}: {ended.message}"
    told = [f"{e['reason']}: {e['message']}" for e in api.events(ended.name) if e.get("type") == "Warning"
            and e["involvedObject"].get("uid") in (None, pod["metadata"]["uid"])
            and e.get("reason") in ENDING_REASONS]
    if told:
        return told[-1]
    return ended.reason or (f"exit code {ended.exit_code}" if ended.exit_code is not None else "")


def why_stuck(pod: Mapping[str, Any], stuck: str) -> str:
    """What keeps a pod from starting; with what it asks for, where no node has room for that."""
    limits: dict[str, str] = {}
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        limits = container.get("resources", {}).get("limits", {}) | limits
    if not stuck.startswith("Unschedulable") or not limits:
        return stuck
    asked = ", ".join(f"{amount} of {name}" for name, amount in limits.items())
    return (f"{stuck.rstrip('.')}. Its pod asks for {asked}, and starts when a node has that free. If none ever will "
            "(`kubectl describe nodes` says what they have), change [cluster], and run again after `consort cancel`.")


def last_lines(api: "KubernetesApi", pod: str, container: str, number: int = LAST_LINES) -> list[str]:
    """The end of a container's log; empty where it cannot be had any more."""
    try:
        return list(api.log(pod, container, tail=number))
    except ConsortError:
        return []
