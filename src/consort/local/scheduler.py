"""Run members or trials in processes side by side, and follow what they print."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from consort.errors import Busy
from consort.events import (
    Done,
    Elsewhere,
    Event,
    Failed,
    Listener,
    Outcome,
    Retried,
    Started,
    StepEnded,
    Trained,
    read_line,
)

BUSY_PAUSE_SECONDS = 3.0
"""A member that another run trains is asked for again after this pause."""
RETRIES = 3
"""A process that was killed, or could not reach the store, is started again this often."""
LOOK_SECONDS = 10.0
"""Once another run was met, the store is looked at this often for members that it has finished."""
LOOKED_AT = 64
"""So many of a process's next members at a time: each is a request to the store."""
STOP_SECONDS = 60.0
"""What a member has to save its state when the run is stopped, before it is killed."""


@dataclass
class Job:
    """What one process does: members to train, or one trial."""

    members: list[str]
    """Ids of the members, or the trial's."""
    command: Callable[[Sequence[str]], list[str]]
    """Given those of them that are left to do."""
    together: bool = False
    """Several of them may train at the same time; else one after another."""
    not_before: float = 0.0
    failures: int = 0

    def of(self, members: list[str], pause: float = 0.0) -> "Job":
        """The same for some of the members."""
        return replace(self, members=members, not_before=time.monotonic() + pause)


class _Running:
    """A job's process, its output as it comes, and how its members ended."""

    def __init__(self, job: Job, slot: int, environment: Mapping[str, str]) -> None:
        self.job, self.slot = job, slot
        self.error: StepEnded | None = None
        self.ends: dict[str, StepEnded | None] = {}
        """Of the members that the process told the end of; None is done."""
        self.told: set[str] = set()
        self.last_lines: list[str] = []
        # A session of its own: Ctrl-C reaches the run only, which then stops the members one by one.
        self.process = subprocess.Popen(job.command(job.members), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=dict(environment), start_new_session=True)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""

    @property
    def left(self) -> list[str]:
        """The members of which no end is known."""
        return [m for m in self.job.members if m not in self.ends]

    def read(self, listen: Listener) -> None:
        """Pass on the events that have come; keep the last ordinary lines for an error message."""
        assert self.process.stdout is not None
        try:
            while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
                self.rest += chunk
        except BlockingIOError:
            pass  # nothing more for now
        *lines, self.rest = self.rest.split(b"\n")
        for line in (raw.decode(errors="replace") for raw in lines):
            event = read_line(line)
            if event is None:
                self.last_lines = [*self.last_lines[-4:], line]
            else:
                self._take(event, listen)

    def _take(self, event: Event, listen: Listener) -> None:
        match event:
            case StepEnded(member=""):
                self.error = event
            case StepEnded():
                self.ends[event.member] = event
            case Trained() if event.member in self.left:
                self.ends[event.member] = None
            case _:
                listen(event)

    def close(self) -> None:
        """Let go of its output."""
        assert self.process.stdout is not None
        self.process.stdout.close()


class Scheduler:
    """Runs jobs in `slots` places; a place has an environment of its own, such as the GPU that it may use."""

    def __init__(self, slots: list[Mapping[str, str]], listen: Listener, done: Callable[[str], bool]) -> None:
        self.slots, self.listen, self.done = slots, listen, done
        self.running: list[_Running] = []
        self.outcome = Outcome()
        self.shared = False
        """Whether another run was met, which trains some of these members."""
        self.looked = time.monotonic()

    def run(self, jobs: Iterable[Job], more: Callable[[int], Sequence[Job]] = lambda free: ()) -> Outcome:
        """Run all jobs to their end. Raises KeyboardInterrupt on SIGINT or SIGTERM, when the members have saved.

        more: asked for further jobs, up to a number, whenever places are free; none while nothing runs ends the run.
        """
        waiting = list(jobs)
        with _noted_signals() as asked:
            try:
                while not asked:
                    if (free := len(self.slots) - len(self.running) - len(waiting)) > 0:
                        waiting += more(free)
                    if not waiting and not self.running:
                        break
                    self._start(waiting)
                    self._listen(0.2)
                    self._look_around(waiting)
                    for running in list(self.running):
                        ended = running.process.poll() is not None
                        if ended:
                            self.running.remove(running)
                            running.read(self.listen)
                            running.close()
                        self._conclude(running, waiting)
                        if ended:
                            self._conclude_rest(running, waiting)
            finally:
                self._stop(asked)
        if asked:
            raise KeyboardInterrupt
        return self.outcome

    def _start(self, waiting: list[Job]) -> None:
        free = [s for s in range(len(self.slots)) if all(r.slot != s for r in self.running)]
        for slot in free:
            job = next((j for j in waiting if j.not_before <= time.monotonic()), None)
            if job is None:
                return
            waiting.remove(job)
            if left := self._undone(job):
                self.listen(Started(left[0]))
                self.running.append(_Running(replace(job, members=left), slot, self.slots[slot]))

    def _undone(self, job: Job) -> list[str]:
        """The members of a job that does not run which are left to do; of the others, done by another run, it is told.
        """
        left = []
        for member in job.members:
            if self.done(member):
                self.shared = True
                self.listen(Done(member))
            else:
                left.append(member)
        return left

    def _look_around(self, waiting: list[Job]) -> None:
        """Where another run was met, take note of members that it has finished before their turn comes here."""
        if not self.shared or time.monotonic() - self.looked < LOOK_SECONDS:
            return
        for running in self.running:
            running.ends |= {member: None for member in running.left[:LOOKED_AT] if self.done(member)}
        waiting[:] = [replace(job, members=left) for job in waiting if (left := self._undone(job))]
        self.looked = time.monotonic()

    def _listen(self, seconds: float) -> None:
        if not self.running:
            time.sleep(seconds)
            return
        with selectors.DefaultSelector() as selector:
            for running in self.running:
                assert running.process.stdout is not None
                selector.register(running.process.stdout, selectors.EVENT_READ, running)
            for key, _ in selector.select(seconds):
                key.data.read(self.listen)
        time.sleep(0.02)  # an output that has ended is always readable

    def _conclude(self, running: _Running, waiting: list[Job]) -> None:
        """Take note of the members that ended."""
        new = [m for m in running.ends if m not in running.told]
        running.told.update(new)
        for member in new:
            self._conclude_one(running.job.of([member]), running.ends[member], waiting)

    def _conclude_rest(self, running: _Running, waiting: list[Job]) -> None:
        """A process ended: so did the member that it was at, or, on a GPU, one of those that it was at.

        Those are then tried together again, and each by itself in the end."""
        job, left, failure = running.job, running.left, _ended_how(running)
        if not left:
            return
        if len(left) == 1 or not job.together:
            self._conclude_one(job.of(left[:1]), failure, waiting)
            waiting += [replace(job.of(left[1:]), failures=0)] if left[1:] else []
            return
        for member in left:
            self.listen(Retried(member, failure.text if failure else ""))
        if failure and _retry_can_help(failure.exit_code) and job.failures < RETRIES:
            waiting.append(replace(job.of(left, 2.0 ** (job.failures + 1)), failures=job.failures + 1))
        else:
            waiting += [replace(job.of([member]), failures=0) for member in left]

    def _conclude_one(self, job: Job, failure: StepEnded | None, waiting: list[Job]) -> None:
        (member,) = job.members
        if failure is None:
            self.outcome.trained.append(member)
            self.listen(Done(member))
        elif failure.is_a(Busy):
            self.shared = True
            waiting.append(job.of([member], BUSY_PAUSE_SECONDS))
            self.listen(Elsewhere(member))
        elif _retry_can_help(failure.exit_code) and job.failures < RETRIES:
            waiting.append(replace(job.of([member], 2.0 ** (job.failures + 1)), failures=job.failures + 1))
            self.listen(Retried(member, failure.text))
        else:
            self.outcome.failed[member] = failure.text
            self.listen(Failed(member, failure.text))

    def _stop(self, asked: Sequence[int]) -> None:
        """End the members that still run, giving them time to save; asked twice, or too slow, they are killed."""
        stopped = list(self.running)
        for running in stopped:
            running.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.running and time.monotonic() < deadline and len(asked) < 2:
            self._listen(0.1)
            self.running = [r for r in self.running if r.process.poll() is None]
        for running in self.running:
            running.process.kill()
            running.process.wait()
        for running in stopped:
            running.close()
        self.running.clear()


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted instead of raised: raised between starting a process and remembering it, they would
    leave it behind. In a thread other than the main one, which Python tells of no signal, there are none to note."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, lambda number, frame: asked.append(number))
              for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _retry_can_help(code: int) -> bool:
    """Killed by a signal, stopped (143), or without its store (175); codes below 128 end the same way again."""
    return code < 0 or code >= 128


def _ended_how(running: _Running) -> StepEnded | None:
    """What a process failed with that has ended; None where it did not."""
    code = running.process.returncode
    if code == 0:
        return None
    if running.error is not None:
        return replace(running.error, exit_code=code)
    if code == -signal.SIGKILL:
        return StepEnded("", "its process was killed (often for lack of memory: fewer --workers help)", code)
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return StepEnded("", f"its process ended with {ended}: {' / '.join(running.last_lines[-2:])}", code)
