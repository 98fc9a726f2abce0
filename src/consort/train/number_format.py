"""In which number format a member with `precision = "auto"` trains where the hardware multiplies bfloat16.

Networks with depthwise convolutions train slower in bfloat16 on processors (mobilenet_v3_small takes 1.4 times as long
as in float32), and networks that are launched from Python may on GPUs; others take half of the time. So a few steps are
timed, once for an architecture, an input size and a kind of hardware; what they said stays in the store, and every
later member takes it from there. Not timed: wide residual networks, which were never clearly slower (0.4 to 1.05 times
as long on processors), and networks of searches, which share a table of latencies and so a format.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch
import torch.distributed as dist

from consort import hardware
from consort.costs.conditions import Size, size_text
from consort.costs.formats import faster
from consort.costs.macs import count
from consort.costs.timed import Ready, clock, times_ms
from consort.data.prepared import Prepared
from consort.documents import from_json, to_json
from consort.events import Listener, Warned
from consort.members.spec import MemberSpec
from consort.models import compute, cuda_graphs
from consort.models.input_size import network_input
from consort.models.names import wide_resnet
from consort.space import networks
from consort.store import Store, keys
from consort.train.process import Process
from consort.train.state import State

MOST_MACS = {"cpu": 1e10, "cuda": 2e11}
"""Of a timed step; a larger batch is timed in part."""
STEPS = {"cpu": 3, "cuda": 15}
WARM_UP_STEPS = {"cpu": 1, "cuda": 3}


@dataclass(frozen=True)
class FormatRecord:
    """latency/<hardware id>/<architecture>-...-training.json: how long a step takes in either format."""

    architecture: str
    input: str
    batch_size: int
    float32_ms: float
    bfloat16_ms: float
    precision: str
    """The one that members train in."""
    hardware: dict
    hardware_id: str
    versions: dict
    measured_at: str
    runtime: str = "torch"
    """graph, where the steps of `precision` were replayed as a CUDA graph; torch, where they were launched from
    Python."""


def format_of(store: Store, spec: MemberSpec, data: Prepared) -> str:
    """What the member's recipe says, with what was measured in place of "auto" where it was."""
    if not _is_open(spec):
        return spec.recipe.precision
    key = _key(spec, network_input(spec, data))
    return from_json(FormatRecord, store.read(key), key).precision if store.exists(key) else "auto"


def measure_format(store: Store, spec: MemberSpec, data: Prepared, process: Process, listen: Listener,
                   captured: bool = False) -> None:
    """Let the store know the format of the member's architecture here, where that is open. The first process measures;
    all return when it is known, or when it cannot be known now, which is told.

    captured: members train in packs, whose steps are captured on a GPU.
    """
    if not _is_open(spec):
        return
    try:
        key = _key(spec, network_input(spec, data))
        if process.rank == 0 and not store.exists(key):
            _measure(store, key, spec, data, listen, captured)
    finally:
        if process.processes > 1:
            waited = torch.zeros(1, device=compute.choose("auto", process.local_rank).device)
            dist.all_reduce(waited)
            waited.item()


def _measure(store: Store, key: str, spec: MemberSpec, data: Prepared, listen: Listener, captured: bool) -> None:
    try:
        record = _measured(spec, network_input(spec, data), len(data.classes), captured)
        if not store.exists(key):  # members that begin together measure together, and the first one's word counts
            store.write(key, to_json(record))
    except RuntimeError as e:  # a full GPU, or what CUDA says: the members themselves may well train
        why = (str(e).splitlines() or [type(e).__name__])[0]
        listen(Warned(spec.id, f"{spec.architecture} trains in bfloat16, though float32 might be faster: steps of both "
                               f"could not be timed ({why[:150]})"))
    compute.free_memory()


def _is_open(spec: MemberSpec) -> bool:
    """Whether the format depends on a measurement."""
    known = wide_resnet(spec.architecture) is not None or networks.is_name(spec.architecture)
    return spec.recipe.precision == "auto" and not known and compute.choose("auto").precision == "bfloat16"


def _key(spec: MemberSpec, size: Size) -> str:
    return keys.training_format(hardware.hardware_id(_described()), spec.architecture, size_text(size))


def _described() -> dict:
    """The hardware that trains: of several GPUs the driver names the first only."""
    place, described = compute.choose("auto"), hardware.describe()
    if place.device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(place.device)
    return described


def _measured(spec: MemberSpec, size: Size, classes: int, captured: bool) -> FormatRecord:
    device = compute.choose("auto").device
    macs = count(spec.architecture, size, classes).macs
    batch = max(2, min(spec.recipe.batch_size, int(MOST_MACS[device.type] / (3 * macs))))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        steps = {precision: _step(spec, size, classes, batch, precision, captured)
                 for precision in ("float32", "bfloat16")}
        times = times_ms(steps, STEPS[device.type], WARM_UP_STEPS[device.type])
    median = {precision: round(float(np.median(of_one)), 3) for precision, of_one in times.items()}
    chosen, described = faster(times), _described()
    return FormatRecord(spec.architecture, size_text(size), batch, median["float32"], median["bfloat16"], chosen,
                        described, hardware.hardware_id(described), hardware.versions(),
                        datetime.now(UTC).isoformat(timespec="seconds"), steps[chosen].runtime)


def _step(spec: MemberSpec, size: Size, classes: int, batch: int, precision: str, captured: bool) -> Ready:
    """A step as members make it, on random images, at a learning rate of 0."""
    place = compute.choose(precision)
    state = State(spec, classes, place)
    state.network.train()
    x = torch.randn(batch, 3, *size).to(place.device, memory_format=torch.channels_last)
    y = torch.arange(batch, device=place.device) % classes

    def launch() -> None:
        with torch.inference_mode(False), torch.enable_grad():
            state.update(x, y)

    graph = _graph(launch, place.device) if captured and place.device.type == "cuda" else None

    def run() -> None:
        if graph is None:
            launch()
        else:
            graph.replay()

    return Ready(run, clock(place, torch.get_num_threads()), place.device.type, precision,
                 "torch" if graph is None else "graph", hardware.versions())


def _graph(launch: cuda_graphs.Work, device: torch.device) -> torch.cuda.CUDAGraph | None:
    """The step as a CUDA graph; None where members are launched from Python too: where it draws random numbers, and
    where CUDA refuses."""
    return None if cuda_graphs.warm_up(launch, device) else cuda_graphs.captured([launch], device)
