"""In which number format a member with `precision = "auto"` trains on a processor that multiplies bfloat16.

Networks with depthwise convolutions train slower in bfloat16 there (mobilenet_v3_small takes 1.4 times as long as in
float32), others in half of the time. So a few steps are timed, once for an architecture, an input size and a kind of
hardware; what they said stays in the store, and every later member takes it from there. Not timed: wide residual
networks, which were never clearly slower (0.4 to 1.05 times as long), and networks of searches, which share a table of
latencies and so a format. On GPUs it is bfloat16: a step that is launched from Python says nothing about a captured
one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from consort import hardware
from consort.costs.conditions import Size, size_text
from consort.costs.formats import faster
from consort.costs.macs import count
from consort.costs.timed import Ready, clock, times_ms
from consort.data.prepared import Prepared
from consort.documents import from_json, to_json
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.families import build
from consort.models.input_size import network_input
from consort.models.names import wide_resnet
from consort.space import networks
from consort.store import Store, keys
from consort.train.process import Process

MOST_MACS = 1e10
"""Of a timed step; a larger batch is timed in part."""
STEPS, WARM_UP = 3, 1


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


def format_of(store: Store, spec: MemberSpec, data: Prepared) -> str:
    """What the member's recipe says, with what was measured in place of "auto" where it was."""
    if not _is_open(spec):
        return spec.recipe.precision
    key = _key(spec, network_input(spec, data))
    return from_json(FormatRecord, store.read(key), key).precision if store.exists(key) else "auto"


def measure_format(store: Store, spec: MemberSpec, data: Prepared, process: Process) -> None:
    """Let the store know the format of the member's architecture here, where that is open. The first process measures;
    all return when it is known."""
    if not _is_open(spec):
        return
    size = network_input(spec, data)
    key = _key(spec, size)
    try:
        if process.rank == 0 and not store.exists(key):
            record = _measured(spec, size, len(data.classes))
            if not store.exists(key):  # members that begin together measure together, and the first one's word counts
                store.write(key, to_json(record))
    finally:
        if process.processes > 1:
            dist.barrier()


def _is_open(spec: MemberSpec) -> bool:
    """Whether the format depends on a measurement."""
    known = wide_resnet(spec.architecture) is not None or networks.is_name(spec.architecture)
    return spec.recipe.precision == "auto" and not known and compute.choose("auto") == compute.Compute(
        torch.device("cpu"), "bfloat16")


def _key(spec: MemberSpec, size: Size) -> str:
    return keys.training_format(hardware.hardware_id(hardware.describe()), spec.architecture, size_text(size))


def _measured(spec: MemberSpec, size: Size, classes: int) -> FormatRecord:
    macs = count(spec.architecture, size, classes).macs
    batch = max(2, min(spec.recipe.batch_size, int(MOST_MACS / (3 * macs))))
    drawn = torch.get_rng_state()
    steps = {precision: _step(spec.architecture, size, classes, batch, precision)
             for precision in ("float32", "bfloat16")}
    times = times_ms(steps, STEPS, WARM_UP)
    torch.set_rng_state(drawn)
    median = {precision: round(float(np.median(of_one)), 3) for precision, of_one in times.items()}
    described = hardware.describe()
    return FormatRecord(spec.architecture, size_text(size), batch, median["float32"], median["bfloat16"],
                        faster(times), described, hardware.hardware_id(described), hardware.versions(),
                        datetime.now(UTC).isoformat(timespec="seconds"))


def _step(architecture: str, size: Size, classes: int, batch: int, precision: str) -> Ready:
    """Forward and backward on random images, as members train."""
    place = compute.choose(precision)
    network = place.place(build(architecture, classes)).train()
    x = torch.randn(batch, 3, *size).to(memory_format=torch.channels_last)
    y = torch.arange(batch) % classes

    def run() -> None:
        with torch.inference_mode(False), torch.enable_grad():
            with place.autocast():
                scores = network(x)
            F.cross_entropy(scores.float(), y).backward()

    return Ready(run, clock(place, torch.get_num_threads()), "cpu", precision, "torch", hardware.versions())
