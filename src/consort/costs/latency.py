"""How long one forward pass takes: measured, with its spread, cached in the store per hardware."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import torch

from consort import hardware
from consort.costs.conditions import Conditions, size_text
from consort.costs.records import LatencyRecord
from consort.costs.stored import stored
from consort.documents import to_json
from consort.errors import InputError
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


def place_of(conditions: Conditions) -> compute.Compute:
    """Where networks are timed under these conditions, with torch's threads set; InputError where not here."""
    place = compute.choose(conditions.precision)
    if conditions.device not in ("auto", place.device.type) or conditions.runtime != "torch":
        raise InputError(f"latencies are measured with torch on {place.device.type} here, not with "
                         f"{conditions.runtime} on {conditions.device}. Measure them on a machine that has it.")
    torch.set_num_threads(conditions.threads)
    return place


def measure(architecture: str, conditions: Conditions, repeats: int = 50) -> LatencyRecord:
    """Median and spread, in milliseconds, of `repeats` forward passes of one batch after a warm-up."""
    place = place_of(conditions)
    torch.manual_seed(0)
    network = place.place(build(architecture, conditions.classes)).eval()
    x = torch.randn(conditions.batch_size, 3, *conditions.input).to(place.device, memory_format=torch.channels_last)
    now, times = clock(place, conditions.threads), []
    with torch.inference_mode(), place.autocast():
        for index in range(WARM_UP + repeats):
            started = now()
            network(x)
            if index >= WARM_UP:
                times.append((now() - started) * 1000)
    described = hardware.describe()
    p10, median, p90 = (round(float(q), 4) for q in np.percentile(times, [10, 50, 90]))
    return LatencyRecord(
        architecture=architecture, input=size_text(conditions.input), classes=conditions.classes,
        batch_size=conditions.batch_size, threads=conditions.threads, device=place.device.type,
        precision=place.precision, repeats=repeats, median_ms=median, p10_ms=p10, p90_ms=p90, hardware=described,
        hardware_id=hardware.hardware_id(described), versions=hardware.versions(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"))


def find_or_measure(store: Store, architecture: str, conditions: Conditions, repeats: int = 50,
                       again: bool = False) -> LatencyRecord:
    """The latency on this hardware: from the store, or measured now, which can take minutes, and stored."""
    known = None if again else stored(store, architecture, conditions)
    if known is not None:
        return known
    record = measure(architecture, conditions, repeats)
    store.write(keys.latency_record(record.hardware_id, architecture, conditions.text), to_json(record))
    return record
