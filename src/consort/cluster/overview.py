"""What a person asks of a cluster: how far a run is, and which runs there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consort import members
from consort.cluster.explain import last_lines
from consort.cluster.follow import member_selector
from consort.events import parse_event
from consort.kube import names
from consort.kube.pytorch_job import CONTAINER
from consort.kube.status import job_status, pod_status
from consort.store import Store, keys

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

MAX_LOGS = 32
"""Running members whose newest progress is read."""


@dataclass(frozen=True)
class MemberState:
    """One row of `consort status`."""

    member: str
    state: str
    """done, failed, to train, or what its job does: waiting, running, restarting, suspended."""
    pod: str = ""
    node: str = ""
    restarts: int = 0
    epoch: float | None = None
    epochs: int | None = None
    loss: float | None = None
    detail: str = ""


def member_states(api: "KubernetesApi", store: Store, wanted: Sequence[str]) -> list[MemberState]:
    """The state of every member: from the store where it ended, from its job and pod where it has one."""
    jobs = {job["metadata"]["name"]: job for job in api.list("PyTorchJob", member_selector())}
    pods = _newest_masters(api.list("Pod", member_selector())) if jobs else {}
    named = {member: names.member_job_name(member) for member in wanted}
    running = [name for name in named.values() if name in pods and pod_status(pods[name]).phase == "Running"]
    read = set(running[:MAX_LOGS])
    return [_state(api, store, member, jobs.get(name), pods.get(name), name in read)
            for member, name in named.items()]


def _state(api: "KubernetesApi", store: Store, member: str, job: dict | None, pod: dict | None,
           read_log: bool) -> MemberState:
    if members.read_record(store, member) is not None:
        return MemberState(member, "done")
    if (failure := members.read_failure(store, member)) is not None:
        return MemberState(member, "failed", detail=failure)
    if job is None:
        return MemberState(member, "to train")
    status = job_status(job)
    if pod is None:
        return MemberState(member, status.state, detail=status.message)
    there = pod_status(pod)
    progress = _progress(api, there.name) if read_log else {}
    return MemberState(member, status.state, there.name, there.node or "", there.restarts, progress.get("epoch"),
                       progress.get("epochs"), progress.get("loss"), there.stuck or there.reason or "")


def _progress(api: "KubernetesApi", pod: str) -> dict:
    events = [e for line in last_lines(api, pod, CONTAINER) if (e := parse_event(line)) and e["event"] == "progress"]
    return dict(events[-1]) if events else {}


def _newest_masters(pods: Iterable[dict]) -> dict[str, dict]:
    """Job name -> its master's pod."""
    masters = [p for p in pods if p["metadata"]["labels"].get(names.OPERATOR_ROLE_LABEL) == "master"]
    return {p["metadata"]["labels"][names.OPERATOR_JOB_LABEL]: p
            for p in sorted(masters, key=lambda p: p["metadata"]["creationTimestamp"])}


@dataclass(frozen=True)
class RunState:
    """One row of `consort list`."""

    run: str
    """name/run."""
    active_jobs: int
    answered: bool


def runs(store: Store, api: "KubernetesApi") -> list[RunState]:
    """The runs that the store knows, with the jobs that the namespace has for each."""
    found = [key.split("/") for key in store.list(keys.STUDIES)]
    planned = sorted({(parts[1], parts[2]) for parts in found if len(parts) == 4})
    answered = {(parts[1], parts[2]) for parts in found if parts[-1] == "summary.json"}
    jobs = [j for kind in ("Job", "PyTorchJob") for j in api.list(kind, f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}")
            if job_status(j).state not in ("succeeded", "failed")]
    counts = [(j["metadata"]["labels"].get(names.STUDY_LABEL), j["metadata"]["labels"].get(names.RUN_LABEL))
              for j in jobs]
    return [RunState(f"{study}/{run}", counts.count((study, run)), (study, run) in answered)
            for study, run in planned]
