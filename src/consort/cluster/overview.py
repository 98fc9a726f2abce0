"""What a person asks of a cluster: how far a run is, and which runs there are."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from consort import members
from consort.cluster.explain import last_lines
from consort.cluster.follow import member_selector
from consort.cluster.known_jobs import KnownJobs
from consort.events import Progressed, read_line
from consort.kube import names
from consort.kube.status import job_status, pod_status
from consort.kube.training import KINDS, MEMBER_JOB
from consort.run.member_state import MemberState, damaged_or, missing_detail
from consort.store import Store

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

MAX_LOGS = 32
"""Running pods whose newest progress is read."""
LINES_EACH = 12
"""Of a log's end, for each member that its pod trains."""


def member_states(api: "KubernetesApi", store: Store, wanted: Sequence[str]) -> list[MemberState]:
    """The state of every member: from the store where it ended or has no job, else from its job and pod."""
    jobs = KnownJobs(store.uri)
    for job in api.list(MEMBER_JOB.kind, member_selector()):
        jobs.note(job)
    pods = _newest_leaders(api.list("Pod", member_selector())) if jobs.by_name else {}
    names_of_jobs = {member: jobs.newest(member) for member in wanted}
    running = [name for name in dict.fromkeys(names_of_jobs.values())
               if name in pods and pod_status(pods[name]).phase == "Running"]
    progress = {name: _progress(api, pods[name]) for name in running[:MAX_LOGS] if name is not None}
    present = members.files(store, [member for member, name in names_of_jobs.items() if name is None])
    return [damaged_or(member, partial(_state, store, member, jobs.by_name.get(name or ""), pods.get(name or ""),
                                       progress.get(name or "", {}).get(member), present.get(member, set())))
            for member, name in names_of_jobs.items()]


def _state(store: Store, member: str, job: dict | None, pod: dict | None, progress: Progressed | None,
           present: Set[str]) -> MemberState:
    """present: names of the files of a member without a job."""
    if members.read_record(store, member) is not None:
        return MemberState(member, "done")
    if (failure := members.read_failure(store, member)) is not None:
        return MemberState(member, "failed", detail=failure)
    if job is None:
        return MemberState(member, "to train", detail=missing_detail(store, member, present))
    status = MEMBER_JOB.status(job)
    if pod is None:
        return MemberState(member, status.state, detail=status.message)
    there = pod_status(pod)
    state = MemberState(member, status.state, there.name, there.node or "", there.restarts,
                        detail=there.stuck or there.reason or "")
    return state if progress is None else replace(state, epoch=progress.epoch, epochs=progress.epochs,
                                                  loss=progress.loss)


def _progress(api: "KubernetesApi", pod: dict) -> dict[str, Progressed]:
    """Member -> its newest progress, of those of which the log's end has some."""
    lines = last_lines(api, pod["metadata"]["name"], MEMBER_JOB.container, LINES_EACH * len(names.members_of(pod)))
    return {e.member: e for line in lines if isinstance(e := read_line(line), Progressed)}


def _newest_leaders(pods: Iterable[dict]) -> dict[str, dict]:
    """Job name -> the pod that leads it."""
    return {job: pod for pod in sorted(pods, key=lambda p: p["metadata"]["creationTimestamp"])
            if (job := MEMBER_JOB.led_by(pod)) is not None}


def active_jobs(api: "KubernetesApi") -> Counter[str]:
    """NAME/RUN -> the jobs that the namespace has for it and that have not ended."""
    jobs = [j for kind in ("Job", *KINDS) for j in api.list(kind, f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}")
            if job_status(j).state not in ("succeeded", "failed")]
    labels = [j["metadata"]["labels"] for j in jobs]
    return Counter(f"{of.get(names.STUDY_LABEL)}/{of.get(names.RUN_LABEL)}" for of in labels)
