"""Run members or trials side by side, one process each, and follow what they print."""

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from consort import hardware
from consort.errors import Busy, StoreUnavailable, Terminated
from consort.events import Done, Elsewhere, Failed, Listener, Outcome, Retried, Started, StepEnded, read_line
from consort.study.file import Run

BUSY_PAUSE_SECONDS = 3.0
"""A member that another run trains is asked for again after this pause."""
RETRIES = 3
"""A process that was killed, or could not reach the store, is started again this often."""
STOP_SECONDS = 60.0
"""What a member has to save its state when the run is stopped, before it is killed."""


@dataclass
class Job:
    """One member to train, or one trial."""

    member: str
    """Its id, or the trial's."""
    command: list[str]
    not_before: float = 0.0
    failures: int = 0


class _Running:
    """A member's process, and its output as it comes."""

    def __init__(self, job: Job, slot: int, environment: Mapping[str, str]) -> None:
        self.job, self.slot = job, slot
        self.error: StepEnded | None = None
        self.last_lines: list[str] = []
        # A session of its own: Ctrl-C reaches the run only, which then stops the members one by one.
        self.process = subprocess.Popen(job.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=dict(environment), start_new_session=True)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""

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
            elif isinstance(event, StepEnded):
                self.error = event
            else:
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
                    for ended in [r for r in self.running if r.process.poll() is not None]:
                        self.running.remove(ended)
                        ended.read(self.listen)
                        ended.close()
                        self._conclude(ended, waiting)
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
            if self.done(job.member):  # trained meanwhile by another run
                self.listen(Done(job.member))
                continue
            self.listen(Started(job.member))
            self.running.append(_Running(job, slot, self.slots[slot]))

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

    def _conclude(self, ended: _Running, waiting: list[Job]) -> None:
        code, job = ended.process.returncode, ended.job
        if code == 0:
            self.outcome.trained.append(job.member)
            self.listen(Done(job.member))
        elif ended.error is not None and ended.error.is_a(Busy):
            job.not_before = time.monotonic() + BUSY_PAUSE_SECONDS
            waiting.append(job)
            self.listen(Elsewhere(job.member))
        elif _retry_can_help(code) and job.failures < RETRIES:
            job.failures += 1
            job.not_before = time.monotonic() + 2.0**job.failures
            waiting.append(job)
            self.listen(Retried(job.member, _reason(ended)))
        else:
            self.outcome.failed[job.member] = _reason(ended)
            self.listen(Failed(job.member, _reason(ended)))

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


def places(workers: int | None, settings: Run) -> list[Mapping[str, str]]:
    """The environment of each place: one thread per process, and one GPU where there are GPUs.

    workers: how many, by default what the settings say, else one per core or `members_per_gpu` per GPU.
    """
    gpus = hardware.gpus()
    workers = workers or settings.workers or (len(gpus) * settings.members_per_gpu if gpus else hardware.cores())
    base = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return [{**base, "CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else base for i in range(workers)]


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
    """Killed by a signal, stopped, or without its store; exit codes below 128 end the same way again."""
    return code < 0 or code in (Terminated.exit_code, StoreUnavailable.exit_code) or code >= 128


def _reason(ended: _Running) -> str:
    code = ended.process.returncode
    if ended.error is not None:
        return ended.error.text
    if code == -signal.SIGKILL:
        return "its process was killed (often for lack of memory: fewer --workers help)"
    ended_how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended with {ended_how}: {' / '.join(ended.last_lines[-2:])}"


def train_command(member: str, store: str, settings: Run) -> list[str]:
    """The command that trains one member, with events on its standard output."""
    return [sys.executable, "-m", "consort", "train", "--member", member, *_step_options(store, settings)]


def trial_command(ref: str, kind: str, networks: Sequence[str], store: str, settings: Run) -> list[str]:
    """The command that runs one trial of the planned search NAME/RUN, in the same way."""
    return [sys.executable, "-m", "consort", "trial", ref, "--kind", kind, "--networks", ",".join(networks),
            *_step_options(store, settings)]


def _step_options(store: str, settings: Run) -> list[str]:
    options = ["--store", store, "--log", "json", "--checkpoint-seconds", str(settings.checkpoint_seconds),
               "--loader-workers", str(settings.loader_workers)]
    steps = settings.checkpoint_steps
    return options if steps is None else [*options, "--checkpoint-steps", str(steps)]


