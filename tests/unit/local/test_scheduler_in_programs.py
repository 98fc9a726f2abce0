"""The scheduler inside a program that is not the command: in a thread of it, and for as long as it likes."""

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from consort.events import Done, Elsewhere, Event, Failed, Started, StepEnded, Trained, Warned, line
from consort.local import scheduler as scheduling
from consort.local.scheduler import Job, Scheduler

WARNS = f"print({line(Warned('a', 'a shadow'))!r})"


def test_jobs_of_a_thread_run_and_nothing_of_them_stays_open():
    events: list[Event] = []
    scheduler = Scheduler([os.environ], events.append, lambda member: False)
    jobs = [Job(["a"], lambda members: [sys.executable, "-c", WARNS]),
            Job(["b"], lambda members: [sys.executable, "-c", "raise SystemExit(2)"])]
    with ThreadPoolExecutor() as pool:
        outcome = pool.submit(scheduler.run, jobs).result()
    assert outcome.trained == ["a"] and list(outcome.failed) == ["b"]
    assert events[:3] == [Started("a"), Warned("a", "a shadow"), Done("a")]
    assert events[3] == Started("b") and isinstance(events[4], Failed)
    gc.collect()  # an output that was left open would warn now, and a warning fails the test


def test_members_that_another_run_finishes_count_before_their_turn_comes(monkeypatch, tmp_path):
    """The other run has a, when this one asks for it; it is done with a and c while this one is at b."""
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.1)
    events: list[Event] = []
    go = tmp_path / "go"
    script = f"""
import pathlib, time
print({line(StepEnded('Busy', 'held by another process', 175, 'a'))!r}, flush=True)
until = time.monotonic() + 10
while time.monotonic() < until and not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.02)
print({line(Trained('b', 0.5, 1.0))!r})
print({line(Trained('c', 0.5, 1.0))!r})
"""

    def listen(event: Event) -> None:
        events.append(event)
        if Done("a") in events and Done("c") in events:
            go.touch()

    scheduler = Scheduler([os.environ], listen, lambda member: member != "b" and Elsewhere("a") in events)
    outcome = scheduler.run([Job(["a", "b", "c"], lambda members: [sys.executable, "-c", script])])
    ends = [event.member for event in events if isinstance(event, Done)]
    assert sorted(ends) == ["a", "b", "c"] and ends[-1] == "b" and not outcome.failed


def test_a_run_that_meets_no_other_does_not_ask_the_store_again(monkeypatch):
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.0)
    asked: list[str] = []
    told = "; ".join(f"print({line(Trained(member, 0.5, 1.0))!r})" for member in ("a", "b"))
    scheduler = Scheduler([os.environ], lambda event: None, lambda member: bool(asked.append(member)))
    assert scheduler.run([Job(["a", "b"], lambda members: [sys.executable, "-c", told])]).trained == ["a", "b"]
    assert asked == ["a", "b"]  # before their process began
