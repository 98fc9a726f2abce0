"""The scheduler inside a program that is not the command: in a thread of it, and for as long as it likes."""

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from consort.events import Done, Event, Failed, Started, Warned, line
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
