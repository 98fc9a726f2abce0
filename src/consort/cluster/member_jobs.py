"""One job per member: created or adopted, a stated number at a time, and followed to its end."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consort import members
from consort.cluster.adopt import create_or_find, is_leaving
from consort.cluster.explain import failure_reason, how_it_ended
from consort.cluster.follow import Feed, Happening, feed, member_selector
from consort.cluster.owner import share
from consort.errors import ClusterUnavailable
from consort.events import (
    Done,
    Failed,
    Listener,
    MemberEvent,
    Outcome,
    PodSeen,
    Retried,
    Started,
    StepEnded,
    Warned,
    read_line,
)
from consort.kube import names
from consort.kube.status import pod_status
from consort.kube.training import MEMBER_JOB
from consort.store import Store

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

HOPELESS_ENDS = ("OOMKilled", "StartError", "ContainerCannotRun")
"""The operator starts such a pod again and again, and each ends the same way."""
MAX_HOPELESS_ENDS = 3
STUCK_SECONDS = 120.0
"""A pod that cannot start for this long (its image cannot be pulled, a Secret is missing) is given up."""
SILENCE_SECONDS = 600.0
"""After its deadline, a job that has not ended is given up when this has passed too."""
SYNC_SECONDS = 60.0


@dataclass
class _Followed:
    """A job that was created or adopted, and what is known of its pods."""

    member: str
    since: float
    clearing: bool = False
    """An ended job is being deleted; its successor is created when it has gone."""
    job_uid: str = ""
    error: str = ""
    pod: dict | None = None
    """Its newest pod, as it was last seen."""
    has_pod: bool = False
    pods: list[str] = field(default_factory=list)
    """Uids of the pods that lead it, in order: each after the first is a restart."""
    hopeless: set[str] = field(default_factory=set)
    """Uids of pods that ended in a way that the next ones will too."""
    stuck: str = ""
    """What keeps the pod from starting now."""
    stuck_since: float | None = None
    """Since when that is something that waiting does not help against."""
    warned: set[str] = field(default_factory=set)
    suspended: bool = False
    """Whether a queue holds the job back: nothing of it runs, and the operator does not count its deadline."""


def _awaited(followed: _Followed) -> str:
    """What one job waits for."""
    if followed.clearing:
        return "of an earlier attempt being removed"
    if followed.suspended:
        return "held back by a queue"
    if followed.pod is None or not followed.has_pod:
        return "without a pod (does the Training Operator run, or is it busy?)"
    if followed.stuck:
        return f"whose pod cannot start ({followed.stuck.partition(':')[0]})"
    phase = pod_status(followed.pod).phase
    return {"Pending": "whose pod is about to start", "Running": "whose pod says nothing (is its node away?)"}.get(
        phase, "whose pod has ended, and which the Training Operator has not ended yet")


class MemberJobs:
    """Brings members to their ends as jobs of the kind MEMBER_JOB. `build` gives a member's object, without owner.

    owner: reference to what the jobs shall not outlive; an adopted job that has owners gets this one too.
    """

    def __init__(self, api: "KubernetesApi", store: Store, build: Callable[[str], dict], listen: Listener,
                 at_a_time: int, deadline_seconds: float, owner: Mapping[str, Any] | None = None) -> None:
        self.api, self.store, self.build, self.listen = api, store, build, listen
        self.at_a_time, self.deadline_seconds, self.owner = at_a_time, deadline_seconds, owner
        self.existing: dict[str, dict] = {}
        self.leaders: dict[str, Happening] = {}
        """Job -> the newest change of the pod that leads it, also of jobs that are adopted later."""
        self.job_of: dict[str, str] = {}
        """Name of a leading pod -> its job."""
        self.active: dict[str, _Followed] = {}
        self.outcome = Outcome()
        self.to_begin = 0
        """Members that have no job yet and are not at their end."""

    # What is different where these are jobs of something else than members, in a subclass.

    WHY_LOST = "do pods and launcher use one server?"

    def selector(self, wanted: Sequence[str]) -> str:
        """Of all jobs and pods that may be those of these members."""
        return member_selector(wanted[0] if len(wanted) == 1 else None)

    def has_record(self, member: str) -> bool:
        return members.read_record(self.store, member) is not None

    def known_failure(self, member: str) -> str | None:
        """Why it cannot be trained, where the store says so."""
        return members.read_failure(self.store, member)

    def note_setback(self, member: str, reason: str) -> None:
        if self.known_failure(member) is None:
            members.write_setback(self.store, member, reason)

    def awaited(self) -> str:
        """What is waited for now, in words."""
        kinds = Counter(_awaited(followed) for followed in list(self.active.values()))
        parts = [f"{number} {'job' if number == 1 else 'jobs'} {what}" for what, number in kinds.items()]
        if self.to_begin:
            parts.append(f"{self.to_begin} to begin")
        return ", ".join(parts) or "the list of jobs and pods"

    def run(self, wanted: Sequence[str], create: bool = True) -> Outcome:
        """Follow these members to their ends; with create=False only those that have a job."""
        selector = self.selector(wanted)
        with feed(self.api, {MEMBER_JOB.kind: selector, "Pod": selector}) as events:
            self._synchronise(events)
            waiting = sorted(wanted, key=lambda m: names.member_job_name(m) not in self.existing)
            if not create:
                waiting = [m for m in waiting if names.member_job_name(m) in self.existing]
            self.to_begin = len(waiting)
            while waiting or self.active:
                self._start(waiting, events)
                self._take(events)
                self._check_times()
        return self.outcome

    def _synchronise(self, events: Feed) -> None:
        """Know every job and pod that is there before deciding what to create."""
        synced: set[str] = set()
        deadline = time.monotonic() + SYNC_SECONDS
        while len(synced) < 2:
            happening = events.next(1.0)
            if happening is None and time.monotonic() > deadline:
                raise ClusterUnavailable(f"the cluster did not list its jobs within {SYNC_SECONDS:.0f} s; try again.")
            if happening and happening.source == "synced":
                synced.add(happening.name)
            elif happening and happening.source == MEMBER_JOB.kind:
                self.existing[happening.name] = happening.object
            elif happening and happening.source == "Pod":
                self._note_leader(happening)

    def _note_leader(self, happening: Happening) -> None:
        job = MEMBER_JOB.led_by(happening.object)
        if job is not None:
            self.leaders[job] = happening
            self.job_of[happening.name] = job

    def _start(self, waiting: list[str], events: Feed) -> None:
        """Adopt what runs already, whatever the limit; create others while there is room."""
        for member in list(waiting):
            if len(self.active) >= self.at_a_time and names.member_job_name(member) not in self.existing:
                return
            waiting.remove(member)
            self.to_begin = len(waiting)
            if self.has_record(member):
                self._end(member, None)
            elif (reason := self.known_failure(member)) is not None:
                self._end(member, reason)
            else:
                self._begin(member, self.existing.get(names.member_job_name(member)), events)

    def _begin(self, member: str, job: dict | None, events: Feed) -> None:
        job = create_or_find(self.api, self.build(member), self.owner) if job is None else job
        name = job["metadata"]["name"]
        store = job["metadata"].get("annotations", {}).get(names.STORE_ANNOTATION)
        if store != self.store.uri:
            self._end(member, f"the job {name} in namespace {self.api.namespace} trains this member into {store}, not "
                              f"into {self.store.uri}. Use another namespace, or `consort cancel {member}` first.")
            return
        status = MEMBER_JOB.status(job)
        ended = status.state in ("succeeded", "failed") or is_leaving(job)
        self.active[name] = _Followed(member, time.monotonic(), clearing=ended, job_uid=job["metadata"]["uid"],
                                      suspended=not ended and status.state == "suspended")
        if ended:  # the store does not have the member, so that this job's end is not the member's
            self.api.delete(MEMBER_JOB.kind, name, uid=job["metadata"]["uid"])
            return
        share(self.api, MEMBER_JOB.kind, job, self.owner)
        self.listen(Started(member, name))
        wanted_hash = self.build(member)["metadata"]["labels"][names.SPEC_HASH_LABEL]
        if job["metadata"]["labels"].get(names.SPEC_HASH_LABEL) != wanted_hash:
            self.listen(Warned(member, f"the job {name} was started with other [cluster] settings; it is the same "
                                       "member, and adopted as it is"))
        if (known := self.leaders.get(name)) is not None:  # its next change may be its end
            self._pod_changed(known, events)

    def _take(self, events: Feed) -> None:
        """Act on everything that has happened; waits up to a second for the first."""
        happening = events.next(1.0)
        while happening is not None:
            if happening.source == MEMBER_JOB.kind:
                self._job_changed(happening, events)
            elif happening.source == "Pod":
                self._note_leader(happening)
                self._pod_changed(happening, events)
            elif happening.source == "line":
                self._line(happening)
            happening = events.next(0.0)

    def _job_changed(self, happening: Happening, events: Feed) -> None:
        name, job = happening.name, happening.object
        deleted = happening.type == "DELETED"
        if deleted:
            self.existing.pop(name, None)
        else:
            self.existing[name] = job
        followed = self.active.get(name)
        if followed is None:
            return
        if deleted and followed.clearing:
            del self.active[name]
            self._begin(followed.member, None, events)
        elif deleted and followed.job_uid == job["metadata"]["uid"]:
            self._conclude(name, "its job was deleted. The same command starts it again, from its newest checkpoint")
        elif not followed.clearing and not deleted:
            status = MEMBER_JOB.status(job)
            followed.suspended = status.state == "suspended"
            if status.state == "succeeded":
                self._conclude(name, None)
            elif status.state == "failed":
                self._conclude(name, failure_reason(self.api, name, followed.error, status))

    def _pod_changed(self, happening: Happening, events: Feed) -> None:
        name = MEMBER_JOB.led_by(happening.object)
        followed = self.active.get(name) if name else None
        if name is None or followed is None or followed.clearing:
            return
        status, uid = pod_status(happening.object), happening.object["metadata"]["uid"]
        if happening.type == "DELETED":
            followed.stuck, followed.stuck_since, followed.has_pod = "", None, False
            return
        before, followed.pod, followed.has_pod = followed.pod, happening.object, True
        if uid not in followed.pods:
            followed.pods.append(uid)
            followed.error = ""
            if before is not None:
                how = how_it_ended(self.api, before)
                self.listen(Retried(followed.member, f"its pod ended{f' ({how})' if how else ''} and is started again"))
        self.listen(PodSeen(followed.member, status.name, status.node or "", status.phase,
                            len(followed.pods) - 1 + status.restarts))
        followed.stuck = status.stuck or ""
        cannot_start = bool(status.stuck) and not followed.stuck.startswith("Unschedulable")  # a node may still join
        followed.stuck_since = (followed.stuck_since or time.monotonic()) if cannot_start else None
        if status.stuck and status.stuck not in followed.warned:
            followed.warned.add(status.stuck)
            self.listen(Warned(followed.member, status.stuck))
        if status.phase in ("Running", "Succeeded", "Failed"):
            events.follow_log(status.name, uid, MEMBER_JOB.container)
        if status.reason in HOPELESS_ENDS:
            followed.hopeless.add(uid)
            if len(followed.hopeless) == MAX_HOPELESS_ENDS:
                remedy = ". Raise [cluster] memory." if status.reason == "OOMKilled" else f": {status.message}"
                self._give_up(name, f"{MAX_HOPELESS_ENDS} of its pods ended with {status.reason}{remedy}")

    def _line(self, happening: Happening) -> None:
        followed = self.active.get(self.job_of.get(happening.name, ""))
        event = read_line(happening.object)
        if followed is not None and isinstance(event, StepEnded):
            followed.error = event.text
        elif followed is not None and isinstance(event, MemberEvent):
            self.listen(event)

    def _check_times(self) -> None:
        now = time.monotonic()
        for name, followed in list(self.active.items()):
            if followed.suspended:
                followed.since = now
            if followed.stuck_since is not None and now - followed.stuck_since > STUCK_SECONDS:
                self._give_up(name, f"its pod could not start: {followed.stuck}")
            elif now - followed.since > self.deadline_seconds + SILENCE_SECONDS:
                self._give_up(name, f"its job {name} neither ended nor failed within its deadline of "
                                    f"{self.deadline_seconds:.0f} s. "
                                    + (followed.stuck or "Does the Training Operator run?"))

    def _give_up(self, name: str, reason: str) -> None:
        """End a job that would not end by itself: Kubernetes counts no deadline of a pod that did not start."""
        self.api.delete(MEMBER_JOB.kind, name)
        self._conclude(name, reason)

    def _conclude(self, name: str, reason: str | None) -> None:
        """The job ended, with success where `reason` is None. Whether the member is done is for the store to say."""
        followed = self.active.pop(name)
        if self.has_record(followed.member):
            self.api.delete(MEMBER_JOB.kind, name)
            reason = None
        elif reason is None:
            reason = f"its job succeeded, but {self.store.uri} does not have it: {self.WHY_LOST}"
        self._end(followed.member, self.known_failure(followed.member) or reason)

    def _end(self, member: str, reason: str | None) -> None:
        if reason is None:
            self.outcome.trained.append(member)
            self.listen(Done(member))
        else:
            self.outcome.failed[member] = reason
            self.note_setback(member, reason)
            self.listen(Failed(member, reason))
