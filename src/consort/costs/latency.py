"""How long one forward pass takes: measured, with its spread, cached in the store per hardware."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch

from consort import hardware
from consort.costs.conditions import Conditions, size_text
from consort.costs.records import QUANTILES, LatencyRecord
from consort.costs.stored import stored
from consort.documents import to_json
from consort.errors import InputError, unknown_name
from consort.models import compute
from consort.models.families import build
from consort.models.onnx_export import to_onnx
from consort.models.onnx_session import open_graph
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
    if conditions.runtime != "torch":
        raise InputError(f"blocks are measured in torch alone: with [latency] runtime = {conditions.runtime!r}, a "
                         'search measures whole networks: [search.objective] source = "measured".')
    if conditions.device not in ("auto", place.device.type):
        raise InputError(f"latencies are measured on {place.device.type} here, not on {conditions.device}. Measure "
                         "them on a machine that has it.")
    torch.set_num_threads(conditions.threads)
    return place


def measure(architecture: str, conditions: Conditions, repeats: int = 50) -> LatencyRecord:
    """Median and spread, in milliseconds, of `repeats` forward passes of one batch after a warm-up."""
    return measure_together({architecture: conditions}, repeats)[architecture]


def measure_together(wanted: Mapping[str, Conditions], repeats: int = 50) -> dict[str, LatencyRecord]:
    """The same of several architectures, in rounds of one pass of each: a machine that becomes slower meanwhile does so
    for all. They differ in the size of their images only."""
    ready = {name: _ready(name, conditions) for name, conditions in wanted.items()}
    times: dict[str, list[float]] = {name: [] for name in wanted}
    with torch.inference_mode():
        for index in range(WARM_UP + repeats):
            for name, one in ready.items():
                with one.context():
                    started = one.now()
                    one.run()
                    took = one.now() - started
                if index >= WARM_UP:
                    times[name].append(1000 * took)
    return {name: _record(name, conditions, ready[name], times[name]) for name, conditions in wanted.items()}


@dataclass(frozen=True)
class Ready:
    """A network and one batch, ready to be timed."""

    run: Callable[[], object]
    context: Callable[[], AbstractContextManager]
    """Around the clock and the pass."""
    now: Callable[[], float]
    device: str
    precision: str
    versions: dict[str, str]


def _ready(architecture: str, conditions: Conditions) -> Ready:
    torch.manual_seed(0)
    runtimes = {"torch": _in_torch, "onnxruntime": _in_onnxruntime}
    if conditions.runtime not in runtimes:
        raise unknown_name("runtime", conditions.runtime, runtimes)
    return runtimes[conditions.runtime](architecture, conditions)


def _in_torch(architecture: str, conditions: Conditions) -> Ready:
    place = place_of(conditions)
    network = place.place(build(architecture, conditions.classes)).eval()
    x = torch.randn(conditions.batch_size, 3, *conditions.input).to(place.device, memory_format=torch.channels_last)
    return Ready(lambda: network(x), place.autocast, clock(place, conditions.threads), place.device.type,
                 place.precision, hardware.versions())


def _in_onnxruntime(architecture: str, conditions: Conditions) -> Ready:
    """As a bundle runs it: in float32, on the CPU."""
    model = to_onnx(build(architecture, conditions.classes), architecture, conditions.input)
    try:
        session = open_graph(model.SerializeToString(), conditions.threads)
    except ModuleNotFoundError as e:
        raise InputError(f"[latency] runtime = 'onnxruntime' needs {e.name}: pip install 'consort[export]'.") from e
    images = {"images": np.random.default_rng(0).standard_normal(
        (conditions.batch_size, 3, *conditions.input), dtype=np.float32)}
    now = time.thread_time if conditions.threads == 1 else time.perf_counter
    return Ready(lambda: session.run(None, images), nullcontext, now, "cpu", "float32",
                 hardware.versions() | hardware.versions(("onnxruntime",)))


def _record(architecture: str, conditions: Conditions, ready: Ready, times_ms: Sequence[float]) -> LatencyRecord:
    described = hardware.describe()
    p10, median, p90 = (round(float(q), 4) for q in np.percentile(times_ms, [10, 50, 90]))
    quantiles = [round(float(q), 4) for q in np.quantile(times_ms, np.linspace(0, 1, QUANTILES + 1))]
    return LatencyRecord(
        architecture=architecture, input=size_text(conditions.input), classes=conditions.classes,
        batch_size=conditions.batch_size, threads=conditions.threads, device=ready.device,
        precision=ready.precision, repeats=len(times_ms), median_ms=median, p10_ms=p10, p90_ms=p90, hardware=described,
        hardware_id=hardware.hardware_id(described), versions=ready.versions,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"), quantiles_ms=quantiles,
        runtime=conditions.runtime)


def find_or_measure(store: Store, architecture: str, conditions: Conditions, repeats: int = 50,
                    again: bool = False) -> LatencyRecord:
    """The latency on this hardware: from the store, or measured now, which can take minutes, and stored."""
    return find_or_measure_all(store, {architecture: conditions}, repeats, again)[architecture]


def find_or_measure_all(store: Store, wanted: Mapping[str, Conditions], repeats: int = 50,
                        again: bool = False) -> dict[str, LatencyRecord]:
    """The same of several architectures; those that have to be measured are measured together."""
    known = {} if again else {name: record for name, conditions in wanted.items()
                              if (record := stored(store, name, conditions)) is not None}
    new = measure_together({name: conditions for name, conditions in wanted.items() if name not in known}, repeats)
    for name, record in new.items():
        store.write(keys.latency_record(record.hardware_id, name, wanted[name].text), to_json(record))
    return {name: known.get(name) or new[name] for name in wanted}
