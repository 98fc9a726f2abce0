"""How fast all members of a run train together, and how long the whole run takes from now."""

import time
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heapreplace
from statistics import mean

from consort.events import Done, Event, Failed, PodSeen, Progressed, Resumed, Started

LEAST_SECONDS = 1.0
"""A rate is not read from a member that has less left: what is told is rounded."""
HAND_OVER_SECONDS = 60.0
"""Until the next job's pod is on a node, after one has ended. Longer than that, it waits for room."""
Place = int | str


class TimeLeft:
    """Learns from the members' events. Another thread may ask meanwhile.

    A place goes from member to member, or from pack to pack, at the rate of work that it has now. Until it has told one
    it is taken to be as fast as the others. What comes before a member's steps (tuning, capturing, compiling) is taken
    to be what it was for those that have made some.
    """

    def __init__(self, work: Mapping[str, float], shares: Sequence[Sequence[str]],
                 now: Callable[[], float] = time.monotonic) -> None:
        """work: of each member; shares: which members each place trains."""
        self.work, self.left, self.now = work, dict(work), now
        self.shares: dict[Place, Sequence[str]] = dict(enumerate(shares))
        self.places: dict[str, Place] = {member: place for place, share in self.shares.items() for member in share}
        self.rates: dict[Place, float] = {}
        """Place -> work per second."""
        self.images: dict[Place, float] = {}
        """Place -> images per second."""
        self.waiting = set(self.places)
        """Members of which nothing was heard."""
        self.began: dict[str, tuple[float, int]] = {}
        """Member that has made no steps yet -> when it began, and at which step."""
        self.start_seconds: list[float] = []
        """Of each member that has made some: its share of what came before them."""

    def listen(self, event: Event) -> None:
        match event:
            case Started() if event.member in self.places:
                self.began[event.member] = self.now(), 0
            case Resumed() if event.member in self.places:
                self._at(event)
                self.began[event.member] = self.began.get(event.member, (self.now(), 0))[0], event.step
            case Progressed() if event.member in self.places:
                self._progressed(event, self.places[event.member])
            case Done() | Failed() if event.member in self.places:
                self.left[event.member] = 0.0
                self.began.pop(event.member, None)
                if not self._left_of(place := self.places[event.member]):
                    self.images.pop(place, None)
            case _:
                return
        self.waiting.discard(event.member)

    def _at(self, event: Progressed | Resumed) -> float:
        """Take note of the work that the member has left; how much."""
        left = self.left[event.member] = self.work[event.member] * (1 - event.step / event.steps)
        return left

    def _progressed(self, event: Progressed, place: Place) -> None:
        left = self._at(event)
        of_ours = min(event.side_by_side, len(self.shares[place]))  # a pack may have members of other runs too
        if event.seconds_left >= LEAST_SECONDS or (event.seconds_left and place not in self.rates):
            self.rates[place] = left / event.seconds_left * of_ours
        self.images[place] = event.images_per_second * of_ours
        if event.seconds_left and event.member in self.began:
            since, step = self.began.pop(event.member)
            trained = (event.step - step) * event.seconds_left / (event.steps - event.step)
            self.start_seconds.append(max(0.0, self.now() - since - trained) / event.side_by_side)

    def _left_of(self, place: Place) -> float:
        return sum(self.left[member] for member in self.shares[place])

    @property
    def images_per_second(self) -> float:
        """Of all members that train now."""
        return sum(self.images.values())

    @property
    def seconds(self) -> float | None:
        """Until the last member is trained; None as long as no rate is known."""
        if not self.rates:
            return None
        usual = self._usual_rate()
        return max(self._left_of(place) / self.rates.get(place, usual) + self._before_steps(share)
                   for place, share in self.shares.items())

    def _before_steps(self, share: Sequence[str]) -> float:
        """The seconds that members of a place still take before their first steps."""
        each = mean(self.start_seconds or [0.0])
        begun = [found[0] for member in share if (found := self.began.get(member))]
        left = max(0.0, each * len(begun) - (self.now() - min(begun))) if begun else 0.0
        return left + each * len(self.waiting & set(share))

    def _usual_rate(self) -> float:
        return mean(list(self.rates.values()))


class JobsTimeLeft(TimeLeft):
    """The same where the places are a cluster's jobs.

    How many run at once is what is seen: those whose pods have a node, and for a moment those that ended, until the
    next ones get theirs. All others take their turns at these places.
    """

    def __init__(self, work: Mapping[str, float], packs: Sequence[Sequence[str]],
                 now: Callable[[], float] = time.monotonic) -> None:
        """packs: which members a job is going to train, in the order in which jobs begin."""
        super().__init__(work, (), now)
        self.packs = packs
        self.running: dict[Place, float] = {}
        """Job whose pod has a node, and which has members left -> since when."""
        self.vacant: list[float] = []
        """When jobs ended whose places no other has taken yet."""

    def listen(self, event: Event) -> None:
        if isinstance(event, Started) and event.job and event.member in self.work:
            self._begun(event.member, event.job)
        elif isinstance(event, PodSeen) and event.member in self.places:
            self._pod_seen(self.places[event.member], bool(event.node))
        super().listen(event)
        if isinstance(event, Done | Failed) and event.member in self.work:
            self.left[event.member] = 0.0  # also of one that another run trained before it had a job here
            if event.member in self.places:
                self._vacate(self.places[event.member])

    def _begun(self, member: str, job: str) -> None:
        before = self.places.get(member)
        if before == job:
            return
        self.places[member] = job
        self.shares[job] = [*self.shares.get(job, ()), member]
        if before is not None:
            self.shares[before] = [other for other in self.shares[before] if other != member]
            self._vacate(before)

    def _pod_seen(self, job: Place, has_node: bool) -> None:
        if not has_node:
            self.running.pop(job, None)
        elif job not in self.running and self._left_of(job):
            self.running[job] = self.now()
            self.vacant = self.vacant[1:]

    def _vacate(self, job: Place) -> None:
        if self._left_of(job):
            return
        self.images.pop(job, None)
        if job in self.running:
            del self.running[job]
            self.vacant = [*self.vacant, self.now()]

    @property
    def seconds(self) -> float | None:
        """Until the last member is trained; None as long as no rate is known, and while nothing runs."""
        running, now = dict(self.running), self.now()
        vacant = [0.0 for since in self.vacant if now - since < HAND_OVER_SECONDS]
        if not self.rates or not (running or vacant):
            return None
        usual = self._usual_rate()
        ends = vacant + [self._seconds_of(job, now - since, usual) for job, since in running.items()]
        heapify(ends)
        waiting = [self._left_of(job) for job in list(self.shares) if job not in running]
        waiting += [sum(self.left[member] for member in pack if member not in self.places) for pack in self.packs]
        for left in filter(None, waiting):
            heapreplace(ends, ends[0] + left / usual)
        return max(ends)

    def _seconds_of(self, job: Place, for_seconds: float, usual: float) -> float:
        """Of a job that runs for so long. One that tells nothing is as fast as the others: not every log is read."""
        left, rate = self._left_of(job), self.rates.get(job)
        return max(0.0, left / usual - for_seconds) if rate is None else left / rate
