"""Members' jobs: created or adopted, for a stated number of members at a time, and followed to their ends."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from consort.cluster.adopt import create_or_find
from consort.cluster.explain import failure_reason, how_it_ended, pack_end, why_stuck
from consort.cluster.follow import Feed, Happening, feed, watched
from consort.cluster.followed import HOPELESS_ENDS, Followed, in_jobs
from consort.cluster.known_jobs import KnownJobs, is_over, store_of, trained_by
from consort.cluster.member_ends import MemberEnds
from consort.cluster.owner import share
from consort.errors import ClusterUnavailable
from consort.events import (
    Listener,
    MemberEvent,
    Outcome,
    PodSeen,
    Retried,
    Started,
    StepEnded,
    Trained,
    Warned,
    read_line,
)
from consort.kube import names
from consort.kube.status import pod_status
from consort.kube.training import MEMBER_JOB
from consort.store import Store

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

MAX_HOPELESS_ENDS = 3
SYNC_SECONDS = 60.0


class MemberJobs:
    """Brings members to their ends as jobs of the kind MEMBER_JOB, one or a pack in each.

    group: the packs that members without a job are to be trained in. build: gives the object of a pack, without owner.
    owner: reference to what the jobs shall not outlive; an adopted job that has owners gets this one too.
    """

    ENDS: type[MemberEnds] = MemberEnds

    def __init__(self, api: "KubernetesApi", store: Store, group: Callable[[Sequence[str]], list[list[str]]],
                 build: Callable[[Sequence[str]], dict], listen: Listener, at_a_time: int, deadline_seconds: float,
                 owner: Mapping[str, Any] | None = None) -> None:
        self.api, self.store, self.group, self.build, self.listen = api, store, group, build, listen
        self.at_a_time, self.deadline_seconds, self.owner = at_a_time, deadline_seconds, owner
        self.known = KnownJobs(store.uri)
        self.leaders: dict[str, Happening] = {}
        """Job -> the newest change of the pod that leads it, also of jobs that are adopted later."""
        self.job_of: dict[str, str] = {}
        """Name of a leading pod -> its job."""
        self.active: dict[str, Followed] = {}
        self.waiting: list[list[str]] = []
        """Packs that have no job yet and whose members are not at their ends."""
        self.creates = True
        self.ends = self.ENDS(store, listen)

    def awaited(self) -> str:
        """What is waited for now, in words."""
        kinds = Counter(followed.awaited() for followed in list(self.active.values()))
        parts = [f"{number} {'job' if number == 1 else 'jobs'} {what}" for what, number in kinds.items()]
        if to_begin := sum(map(len, list(self.waiting))):
            parts.append(f"{to_begin} to begin")
        return ", ".join(parts) or "the list of jobs and pods"

    def run(self, wanted: Sequence[str], create: bool = True) -> Outcome:
        """Follow these members to their ends; with create=False only those that a job trains."""
        self.creates = create
        selector = self.selector(wanted)
        with feed(self.api, {MEMBER_JOB.kind: selector, "Pod": selector}) as events:
            self._synchronise(events)
            self.waiting = [list(wanted)]
            self._adopt_held(events)
            self.waiting = self.group([m for pack in self.waiting for m in pack]) if create else []
            while self.waiting or self.active:
                self._adopt_held(events)
                self._start(events)
                self._take(events)
                self._check_times()
        return self.ends.outcome

    def selector(self, wanted: Sequence[str]) -> str:
        """Of all jobs and pods that may be those of these members."""
        return watched(self.api, wanted)

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
                self.known.note(happening.object)
            elif happening and happening.source == "Pod":
                self._note_leader(happening)

    def _note_leader(self, happening: Happening) -> None:
        job = MEMBER_JOB.led_by(happening.object)
        if job is not None:
            self.leaders[job] = happening
            self.job_of[happening.name] = job

    def _adopt_held(self, events: Feed) -> None:
        """Follow what trains already, whatever the limit, also where another run started it with other members."""
        held, _ = self.known.held([member for pack in self.waiting for member in pack])
        for name, found in held.items():
            if pack := self.ends.unfinished(found):
                self._follow(pack, self.known.by_name[name], events)
        taken = {member for found in held.values() for member in found}
        self.waiting = [rest for pack in self.waiting if (rest := [m for m in pack if m not in taken])]

    def _start(self, events: Feed) -> None:
        """Create jobs while there is room."""
        while self.waiting and (not self.active or in_jobs(self.active.values()) + len(self.waiting[0])
                                <= self.at_a_time):
            self._begin(self.waiting.pop(0), events)

    def _begin(self, pack: Sequence[str], events: Feed) -> None:
        """Create the job of these members; one of the same members that ended goes first."""
        pack = self.ends.unfinished(pack)
        if not pack:
            return
        name = names.members_job_name(pack)
        for ended in self.known.ended(pack):  # the store does not have the members, so that its end was not theirs
            if ended["metadata"]["name"] != name:
                self.api.delete(MEMBER_JOB.kind, ended["metadata"]["name"], uid=ended["metadata"]["uid"])
                self.known.forget(ended)
        job = self.known.by_name.get(name) or create_or_find(self.api, self.build(pack), self.owner)
        self.known.note(job)
        self._follow(pack, job, events)

    def _follow(self, pack: list[str], job: dict, events: Feed) -> None:
        name, store, of_job = job["metadata"]["name"], store_of(job), trained_by(job)
        if store != self.store.uri:
            for member in pack:
                self.ends.tell(member, (
                    f"the job {name} in namespace {self.api.namespace} trains this member into {store}, not into "
                    f"{self.store.uri}. Use another namespace, or `consort cancel {member}` first."))
            return
        ended, others = is_over(job), [member for member in of_job if member not in pack]
        self.active[name] = Followed(pack, time.monotonic(), clearing=ended, job_uid=job["metadata"]["uid"],
                                     in_job=len(of_job), has_others=any(map(self.ends.is_left, others)),
                                     failed=any(self.ends.known_failure(member) is not None for member in others),
                                     suspended=not ended and MEMBER_JOB.status(job).state == "suspended")
        if ended:  # the store does not have its members, so that this job's end is not theirs
            self.api.delete(MEMBER_JOB.kind, name, uid=job["metadata"]["uid"])
            return
        share(self.api, MEMBER_JOB.kind, job, self.owner)
        for member in pack:
            self.listen(Started(member, name))
        wanted_hash = self.build(of_job)["metadata"]["labels"][names.SPEC_HASH_LABEL]
        if job["metadata"]["labels"].get(names.SPEC_HASH_LABEL, wanted_hash) != wanted_hash:
            self.listen(Warned(pack[0], f"the job {name} was started with other [cluster] settings; it is the same "
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
        (self.known.forget if deleted else self.known.note)(job)
        followed = self.active.get(name)
        if followed is None:
            return
        if deleted and followed.clearing:
            del self.active[name]
            self._begin(followed.left, events)
        elif deleted and followed.job_uid == job["metadata"]["uid"]:
            self._deleted(name, followed, events)
        elif not followed.clearing and not deleted:
            status = MEMBER_JOB.status(job)
            followed.suspended = status.state == "suspended"
            if status.state == "succeeded":
                self._conclude(name, None)
            elif status.state == "failed":
                apart = False
                if followed.in_job > 1 and followed.left:
                    apart, told = pack_end(self.api, name)  # its log may not have been followed
                    followed.ends |= told
                self._conclude(name, lambda: failure_reason(self.api, name, followed.error, status), apart)

    def _deleted(self, name: str, followed: Followed, events: Feed) -> None:
        """Somebody deleted the job. Where `consort cancel` took one member out of a pack, a new job has the others."""
        held, followed.left = self.known.held(followed.left)
        for other, moved in held.items():
            self._follow(moved, self.known.by_name[other], events)
        if followed.left:
            self._conclude(name, lambda: "its job was deleted. The same command starts it again, from its newest "
                                         "checkpoint")
        else:
            del self.active[name]

    def _pod_changed(self, happening: Happening, events: Feed) -> None:
        name = MEMBER_JOB.led_by(happening.object)
        followed = self.active.get(name) if name else None
        if name is None or followed is None or followed.clearing:
            return
        if happening.type == "DELETED":
            followed.lose_pod()
            return
        status, before = pod_status(happening.object), followed.pod
        if followed.note_pod(happening.object, status, time.monotonic()) and before is not None:
            how = how_it_ended(self.api, before)
            for member in followed.left:
                self.listen(Retried(member, f"its pod ended{f' ({how})' if how else ''} and is started again"))
        for member in followed.left:
            self.listen(PodSeen(member, status.name, status.node or "", status.phase,
                                len(followed.pods) - 1 + status.restarts))
        if status.stuck and status.stuck not in followed.warned:
            followed.warned.add(status.stuck)
            self.listen(Warned(followed.members[0], why_stuck(happening.object, status.stuck)))
        if status.phase in ("Running", "Succeeded", "Failed"):
            events.follow_log(status.name, happening.object["metadata"]["uid"], MEMBER_JOB.container)
        if status.reason in HOPELESS_ENDS and len(followed.hopeless) == MAX_HOPELESS_ENDS:
            memory = status.reason == "OOMKilled"
            self._give_up(name, f"{MAX_HOPELESS_ENDS} of its pods ended with {status.reason}"
                                + (". Raise [cluster] memory." if memory else f": {status.message}"), apart=memory)

    def _line(self, happening: Happening) -> None:
        name = self.job_of.get(happening.name, "")
        followed, event = self.active.get(name), read_line(happening.object)
        if followed is None:
            return
        if isinstance(event, StepEnded) and not event.member:
            followed.error = event.text
        elif isinstance(event, StepEnded):
            followed.ends[event.member] = event.text
            self.ends.look(followed, event.member)
        elif isinstance(event, MemberEvent) and event.subject in followed.left:
            self.listen(event)
            if isinstance(event, Trained):
                self.ends.look(followed, event.member)
        if not followed.left and followed.has_others:
            del self.active[name]  # who wants the others follows it on

    def _check_times(self) -> None:
        now = time.monotonic()
        for name, followed in list(self.active.items()):
            if followed.suspended:
                followed.since = now
            if why := followed.overdue(name, now, self.deadline_seconds):
                self._give_up(name, why)

    def _give_up(self, name: str, reason: str, apart: bool = False) -> None:
        """End a job that would not end by itself: Kubernetes counts no deadline of a pod that did not start."""
        self.api.delete(MEMBER_JOB.kind, name)
        if (job := self.known.by_name.get(name)) is not None:
            self.known.forget(job)
        self._conclude(name, lambda: reason, apart)

    def _conclude(self, name: str, why: Callable[[], str] | None, apart: bool = False) -> None:
        """The job ended, with success where `why` is None. Whether its members are done is for the store to say.

        apart: what is left of a pack is tried again, each member by itself: one of them may have ended the others."""
        followed = self.active.pop(name)
        for member in list(followed.left):
            self.ends.look(followed, member)
        if not followed.left:
            if not followed.failed and (why is None or not followed.has_others):
                self.api.delete(MEMBER_JOB.kind, name)
            return
        reason = why() if why is not None else (
            f"its job succeeded, but {self.store.uri} does not have it: {self.ends.WHY_LOST}")
        for member in list(followed.left):
            if apart and self.creates and followed.in_job > 1 and member not in followed.ends:
                self.listen(Retried(member, f"{reason.rstrip('.')}. It is tried by itself"))
                self.waiting.append([member])
            else:
                self.ends.settle(followed, member, followed.ends.get(member) or reason)
