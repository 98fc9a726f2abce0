"""The time left of a run on a cluster, whose jobs begin as it has room for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from consort.events import Done, Event, Failed, PodSeen, Progressed, Retried, Started
from consort.screen.time_left import HAND_OVER_SECONDS, JobsTimeLeft

SINGLE = [(f"m{number}",) for number in range(12)]
PACKS = [tuple(f"p{pack}-{member}" for member in range(4)) for pack in range(5)]


def progressed(member: str, done: float, seconds_left: float, side_by_side: int = 1) -> Progressed:
    return Progressed(member, 10 * done, 10, int(1000 * done), 1000, 1.0, 100.0, seconds_left,
                      side_by_side=side_by_side)


def pod(member: str, node: str = "node") -> PodSeen:
    return PodSeen(member, f"{member}-master-0", node, "Running" if node else "Pending", 0)


@dataclass
class Jobs:
    """A cluster in virtual seconds: a pod gets a node after a while, if there is room, and then trains its members."""

    packs: Sequence[tuple[str, ...]]
    at_a_time: int
    room: int
    side_by_side: bool = False
    heard: int = 32
    member_seconds: float = 200.0
    """Of one that trains by itself, or of all that train side by side."""
    starts_seconds: float = 8.0
    now: float = 0.0
    begun: dict[int, float] = field(default_factory=dict)
    runs: dict[int, float] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    def second(self) -> list[Event]:
        """What happens in the next one."""
        self.now += 1
        return [*self._launch(), *self._schedule(), *(event for job in list(self.runs) for event in self._train(job))]

    def _launch(self) -> list[Event]:
        told: list[Event] = []
        for job, pack in enumerate(self.packs):
            if job not in self.begun and len(self.begun) - len(self.ended) < self.at_a_time:
                self.begun[job] = self.now
                told += [Started(member, f"job-{job}") for member in pack] + [pod(member, "") for member in pack]
        return told

    def _schedule(self) -> list[Event]:
        told: list[Event] = []
        for job, since in self.begun.items():
            new = job not in self.runs and job not in self.ended
            if new and len(self.runs) < self.room and self.now - since >= self.starts_seconds:
                self.runs[job] = self.now
                told += [pod(member) for member in self.packs[job]]
        return told

    def _train(self, job: int) -> list[Event]:
        pack, took = self.packs[job], self.now - self.runs[job]
        told: list[Event] = []
        for number, member in enumerate(pack):
            done = (took if self.side_by_side else took - number * self.member_seconds) / self.member_seconds
            if 0 < done < 1 and len([other for other in self.runs if other < job]) < self.heard:
                told.append(progressed(member, done, (1 - done) * self.member_seconds,
                                       len(pack) if self.side_by_side else 1))
            elif 1 <= done < 1 + 1 / self.member_seconds:
                told.append(Done(member))
        if took >= self.member_seconds * (1 if self.side_by_side else len(pack)):
            del self.runs[job]
            self.ended.add(job)
        return told


@pytest.mark.parametrize("cluster", [
    Jobs(SINGLE, at_a_time=4, room=4), Jobs(SINGLE, at_a_time=12, room=4), Jobs(SINGLE, at_a_time=5, room=3),
    Jobs(SINGLE, at_a_time=1, room=4), Jobs(SINGLE, at_a_time=12, room=12), Jobs(SINGLE, at_a_time=4, room=4, heard=1),
    Jobs(SINGLE, at_a_time=12, room=12, heard=3), Jobs(PACKS, at_a_time=2, room=2, side_by_side=True),
    Jobs(PACKS, at_a_time=3, room=2, side_by_side=True), Jobs(PACKS, at_a_time=2, room=2)])
def test_it_is_right_from_the_first_line_on(cluster: Jobs) -> None:
    of = JobsTimeLeft({member: 7.0 for pack in cluster.packs for member in pack}, cluster.packs, lambda: cluster.now)
    told: list[tuple[float, float]] = []
    while len(cluster.ended) < len(cluster.packs):
        for event in cluster.second():
            of.listen(event)
        if of.seconds is None:
            assert not told, "once it is known it stays so"
        else:
            told.append((cluster.now, of.seconds))
    assert told[0][0] <= cluster.starts_seconds + 2
    for now, seconds in told:
        left = cluster.now - now
        assert 0.75 * left - 5 <= seconds <= 1.1 * left + 5, (now, left)
    assert (of.seconds, of.images_per_second) == (0, 0)


def test_nothing_is_said_before_a_rate_is_known_or_while_nothing_runs() -> None:
    of = JobsTimeLeft({"a": 1.0, "b": 1.0}, [("a",), ("b",)])
    for event in (Started("a", "a"), pod("a", ""), pod("a")):
        of.listen(event)
        assert of.seconds is None
    of.listen(progressed("a", 0.5, 10.0))
    assert of.seconds == pytest.approx(30)
    of.listen(pod("a", ""))  # it was evicted
    assert of.seconds is None


def test_a_place_that_nobody_takes_is_no_place_any_more() -> None:
    now = 0.0
    of = JobsTimeLeft(dict.fromkeys("abcd", 1.0), [(m,) for m in "abcd"], lambda: now)
    for member in "ab":
        of.listen(Started(member, member))
        of.listen(pod(member))
        of.listen(progressed(member, 0.5, 10.0))
    assert of.seconds == pytest.approx(30)
    of.listen(Done("a"))
    assert of.seconds == pytest.approx(30), "another is about to begin there"
    now = HAND_OVER_SECONDS
    assert of.seconds == pytest.approx(50), "all that is to come waits for the one that runs"


def test_what_is_left_of_a_pack_goes_on_in_jobs_of_its_own() -> None:
    of = JobsTimeLeft(dict.fromkeys("abc", 1.0), ["abc"], lambda: 0.0)
    for member in "abc":
        of.listen(Started(member, "pack"))
        of.listen(pod(member))
        of.listen(progressed(member, 0.5, 10.0, side_by_side=3))
    assert (of.seconds, of.images_per_second) == (pytest.approx(10), 300)
    of.listen(Failed("a", "the loss became nan"))
    for member in "bc":
        of.listen(Retried(member, "a defect. It is tried by itself"))
        of.listen(Started(member, member))
    assert of.images_per_second == 0
    of.listen(pod("b"))
    assert of.seconds == pytest.approx(2 * 0.5 / (3 / 20))
    of.listen(Started("b", "b"))  # as its own process says too
    assert of.seconds == pytest.approx(2 * 0.5 / (3 / 20))


def test_members_of_another_run_in_an_adopted_pack_are_not_counted() -> None:
    of = JobsTimeLeft({"a": 1.0, "b": 1.0}, ["ab"])
    for member in "ab":
        of.listen(Started(member, "theirs"))
        of.listen(pod(member))
        of.listen(progressed(member, 0.5, 10.0, side_by_side=8))
    assert (of.seconds, of.images_per_second) == (pytest.approx(10), 200)
    of.listen(progressed("not of this run", 0.1, 1000.0))
    assert of.seconds == pytest.approx(10)


def test_members_that_end_before_they_have_a_job_take_no_time() -> None:
    of = JobsTimeLeft(dict.fromkeys("abc", 1.0), [(m,) for m in "abc"])
    for event in (Started("a", "a"), pod("a"), progressed("a", 0.5, 10.0)):
        of.listen(event)
    assert of.seconds == pytest.approx(50)
    of.listen(Done("b"))  # another run trained it
    of.listen(Failed("c", "another run's job trains it into another store"))
    assert of.seconds == pytest.approx(10)
