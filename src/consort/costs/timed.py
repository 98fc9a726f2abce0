"""Passes that take turns, and the clock that times them."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch

from consort.models import compute

WARM_UP = 10
Name = TypeVar("Name")


@dataclass(frozen=True)
class Ready:
    """A network and one batch, or several members and theirs, ready to be timed."""

    run: Callable[[], object]
    now: Callable[[], float]
    device: str
    precision: str
    runtime: str
    versions: dict[str, str]
    context: Callable[[], AbstractContextManager] = nullcontext
    """Around the clock and the pass."""


def clock(place: compute.Compute, threads: int) -> Callable[[], float]:
    """Seconds, to time a pass with.

    On one CPU thread it stands still while another process has the core: a pass of milliseconds waits in line on a busy
    machine, and long passes do so more often than short ones. Elsewhere it is wall clock, on a GPU with all work done.
    """
    if place.device.type == "cuda":
        return _synchronised
    return time.thread_time if threads == 1 else time.perf_counter


def _synchronised() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def times_ms(ready: Mapping[Name, Ready], repeats: int, warm_up: int = WARM_UP) -> dict[Name, list[float]]:
    """Milliseconds of `repeats` passes of each, in rounds of one pass of each: a machine that becomes slower meanwhile
    does so for all."""
    times: dict[Name, list[float]] = {name: [] for name in ready}
    with torch.inference_mode():
        for index in range(warm_up + repeats):
            for name, one in ready.items():
                with one.context():
                    started = one.now()
                    one.run()
                    took = one.now() - started
                if index >= warm_up:
                    times[name].append(1000 * took)
    return times
