"""How fast this machine trains, from one step or a few: for an estimate, not for a record."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from consort.costs.conditions import Size
from consort.data.prepared import Prepared
from consort.data.resident import bring
from consort.events import unheard
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.families import build
from consort.store import Store
from consort.train.graph import NotCapturable, capture
from consort.train.lane import Lane
from consort.train.member import Member
from consort.train.settings import Settings

MOST_MACS = 2e11
"""Of the measured step; a larger batch is measured in part, so that a plan does not take minutes."""
PACK_STEPS = 20


def macs_per_second(architecture: str, size: Size, classes: int, batch_size: int, precision: str, macs: int,
                    deterministic: bool | None = None) -> float:
    """Multiply-adds of training that one member does in a second, by the second of two steps on random images, without
    compiling.

    macs: of a forward pass of one image.
    """
    compute.use_determinism(deterministic)
    place = compute.choose(precision)
    batch = max(2, min(batch_size, int(MOST_MACS / (3 * macs))))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as members train
    try:
        network = place.place(build(architecture, classes)).train()
        x = torch.randn(batch, 3, *size).to(place.device, memory_format=torch.channels_last)
        y = torch.arange(batch, device=place.device) % classes
        for _ in range(2):
            started = time.perf_counter()
            with place.autocast():
                scores = network(x)
            F.cross_entropy(scores.float(), y).backward()
            if place.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    return 3 * macs * batch / seconds


@dataclass(frozen=True)
class PackSpeed:
    """How fast members train side by side."""

    images_per_second: float
    """Of all together."""
    compiled: bool


def pack_speed(store: Store, specs: Sequence[MemberSpec], data: Prepared, settings: Settings) -> PackSpeed:
    """How fast these members train together, as a pack with these settings does, by some steps after those that compile
    and capture.

    Nothing is written. Raises a RuntimeError that `compute.is_out_of_memory` knows where they do not fit into the
    device's memory now.
    """
    compute.use_determinism(settings.deterministic)
    opened = [Member(store, spec, data, settings, unheard) for spec in specs]
    resident = bring(data, opened[0].compute.device)
    lanes = [Lane(member, resident) for member in opened]
    for lane in lanes:
        lane.member.state.network.train()
        for place in range(PACK_STEPS):
            lane.draw(place, place)
        lane.send(PACK_STEPS)
    step = _step(lanes)
    step(0)
    lanes[0].read(1)
    started = time.perf_counter()
    for place in range(1, PACK_STEPS):
        step(place)
    for lane in lanes:
        lane.read(PACK_STEPS)
    seconds = time.perf_counter() - started
    images = (PACK_STEPS - 1) * sum(spec.recipe.batch_size for spec in specs)
    return PackSpeed(images / seconds, bool(opened[0].counters.get("compiled")) and not opened[0].state.compile_error)


def _step(lanes: Sequence[Lane]) -> Callable[[int], None]:
    """What makes a step of all of them, captured where that is possible, given its place in the block."""
    replayed = None
    if lanes[0].device.type == "cuda":
        with suppress(NotCapturable):
            replayed = capture(lanes)

    def step(place: int) -> None:
        if replayed is not None:
            replayed.replay()
            return
        for lane in lanes:
            lane.eager_step(place)
    return step
