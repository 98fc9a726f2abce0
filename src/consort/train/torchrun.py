"""Several processes train one member: torchrun as a child that passes on signals and the step's own exit code.

torchrun itself ends with 1 whatever its processes ended with. So each of them leaves how it failed in a file of the
folder $CONSORT_EXIT_FOLDER, and the parent ends as the process that failed first of all did: with its own error.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from consort.errors import ConsortError, InputError, PeerLost, StepFailed, Terminated

if TYPE_CHECKING:
    from consort.train.process import Process

EXIT_FOLDER = "CONSORT_EXIT_FOLDER"
MEET_SECONDS = 600
"""Until all processes of a member have found each other: other pods may still fetch their image."""
ANSWER_SECONDS = 600
"""After which a process that does not answer the others is lost; the first saves its state in less."""
_LOST = re.compile(r"gloo|nccl|closed by peer|reset by peer|broken pipe|timed? ?out|connection refused", re.I)
"""What torch says of a peer that has gone, in errors that have no class of their own."""


def torchrun(arguments: Sequence[str], processes: int | None) -> None:
    """Run `consort ARGUMENTS` in the processes that the environment asks for (PET_*, as torchrun reads them), or in
    so many on this machine; raises what they failed with."""
    if not importlib.util.find_spec("torch"):
        raise InputError("--torchrun needs torch, which is not installed here: pip install torch torchvision.")
    with tempfile.TemporaryDirectory(prefix="consort-exit-") as folder:
        asked: list[int] = []
        child = subprocess.Popen(_command(arguments, processes), env={**os.environ, EXIT_FOLDER: folder},
                                 start_new_session=True)  # so Ctrl-C reaches it once, from here
        with _passed_on(child, asked):
            code = child.wait()
        if code:
            raise _failure(code, [json.loads(file.read_text()) for file in sorted(Path(folder).glob("*.json"))],
                           bool(asked))


def _command(arguments: Sequence[str], processes: int | None) -> list[str]:
    options = []
    if processes is not None:
        options += ["--nproc-per-node", str(processes)]
    if "PET_NNODES" not in os.environ:
        options += ["--standalone"]
    elif "PET_RDZV_CONF" not in os.environ:
        options += ["--rdzv-conf", f"timeout={MEET_SECONDS},join_timeout={MEET_SECONDS}"]
    # The double dash keeps torchrun from reading our options as abbreviations of its own.
    return [sys.executable, "-m", "torch.distributed.run", *options, "-m", "--", "consort", *arguments]


@contextmanager
def _passed_on(child: subprocess.Popen, asked: list[int]) -> Iterator[None]:
    """SIGTERM and SIGINT go on to the child, which asks its processes to save and to leave."""
    def pass_on(number: int, frame: object) -> None:
        if not asked:  # a second one would interrupt torchrun while it waits for its processes
            child.send_signal(signal.SIGTERM)
        asked.append(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure(code: int, failures: Sequence[dict], asked: bool) -> ConsortError:
    """What a torchrun that ended with `code` failed with. The loss of a peer is the consequence of another failure,
    where that is known."""
    causes = [f for f in failures if f["kind"] not in (PeerLost.__name__, Terminated.__name__)]
    stopped = [f for f in failures if f["kind"] == Terminated.__name__]
    if causes or stopped:
        return _Failed(**(causes or stopped)[0])
    if asked:
        return Terminated("the training was asked to stop; its newest checkpoint stays.")
    if code == 2:
        return StepFailed("train", code, "torchrun refused its options; what PET_* sets is listed above")
    if failures:
        return _Failed(**failures[0])
    return PeerLost("the processes of this member were killed, or did not find each other in "
                    f"{MEET_SECONDS} s. A retry goes on from the newest checkpoint.")


class _Failed(ConsortError):
    """What one of the processes failed with, under the name of its kind."""

    def __init__(self, kind: str, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.kind, self.exit_code = kind, exit_code


def kind_of(error: ConsortError) -> str:
    """The name of an error's kind, also where it came from another process."""
    return error.kind if isinstance(error, _Failed) else type(error).__name__


@contextmanager
def failure_noted() -> Iterator[None]:
    """Leave how this process fails for the torchrun parent, where there is one; then it has nothing more to say."""
    folder = os.environ.get(EXIT_FOLDER)
    try:
        yield
    except Exception as e:
        if folder is None:
            raise
        code, text = (e.exit_code, str(e)) if isinstance(e, ConsortError) else (1, f"{type(e).__name__}: {e}")
        file = Path(folder) / f"{int(os.environ.get('RANK', '0')):06d}.json"
        file.write_text(json.dumps({"kind": type(e).__name__, "text": text, "exit_code": code}))
        if not isinstance(e, ConsortError):
            raise
        sys.exit(code)


def _check_gpus(gpus: int) -> None:
    """NCCL waits without end where two processes have one GPU."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if 0 < gpus < here:
        raise InputError(f"each process of a member needs a GPU of its own, got {here} processes and {gpus} GPU"
                         f"{'s' if gpus > 1 else ''} on this machine. Lower the number of processes.")


@contextmanager
def process_group() -> "Iterator[Process]":
    """This process's place under torchrun, with the process group open while the context lasts.

    Raises PeerLost where another process of it goes, or does not answer."""
    from consort.train.process import Process

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Process()
        return
    import torch
    import torch.distributed as dist

    _check_gpus(torch.cuda.device_count())
    try:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo",
                                timeout=timedelta(seconds=ANSWER_SECONDS))
        try:
            yield Process(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
        finally:
            dist.destroy_process_group()
    except RuntimeError as e:
        if not isinstance(e, dist.DistError) and not _LOST.search(str(e)):
            raise
        raise PeerLost("another process that trains this member was lost or does not answer "
                       f"({str(e).splitlines()[0][:200]}). A retry goes on from the newest checkpoint.") from e
