"""How long one forward pass takes: measured, with its spread, cached in the store per hardware."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import torch

from consort import hardware
from consort.costs.records import LatencyRecord
from consort.costs.stored import stored
from consort.documents import to_json
from consort.models import compute
from consort.models.families import build
from consort.store import Store, keys

WARM_UP = 10


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


def measure(architecture: str, input_size: tuple[int, int], classes: int, batch_size: int = 1, threads: int = 1,
            repeats: int = 50, precision: str = "auto") -> LatencyRecord:
    """Median and spread, in milliseconds, of `repeats` forward passes of one batch after a warm-up."""
    place = compute.choose(precision)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = place.place(build(architecture, classes)).eval()
    x = torch.randn(batch_size, 3, *input_size).to(place.device, memory_format=torch.channels_last)
    now, times = clock(place, threads), []
    with torch.inference_mode(), place.autocast():
        for index in range(WARM_UP + repeats):
            started = now()
            network(x)
            if index >= WARM_UP:
                times.append((now() - started) * 1000)
    described = hardware.describe()
    p10, median, p90 = (round(float(q), 4) for q in np.percentile(times, [10, 50, 90]))
    return LatencyRecord(
        architecture=architecture, input=f"{input_size[0]}x{input_size[1]}", classes=classes, batch_size=batch_size,
        threads=threads, device=place.device.type, precision=place.precision, repeats=repeats, median_ms=median,
        p10_ms=p10, p90_ms=p90, hardware=described, hardware_id=hardware.hardware_id(described),
        versions=hardware.versions(), measured_at=datetime.now(UTC).isoformat(timespec="seconds"))


def measured(store: Store, architecture: str, input_size: tuple[int, int], classes: int, batch_size: int = 1,
             threads: int = 1, repeats: int = 50, again: bool = False) -> LatencyRecord:
    """The latency on this hardware from the store, or measured now and stored."""
    size = f"{input_size[0]}x{input_size[1]}"
    known = None if again else stored(store, architecture, size, classes, batch_size, threads)
    if known is not None:
        return known
    record = measure(architecture, input_size, classes, batch_size, threads, repeats)
    store.write(keys.latency_record(record.hardware_id, architecture, size, classes, batch_size, threads),
                to_json(record))
    return record
