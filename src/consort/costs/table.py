"""Measures the pieces of a space's networks on this machine: the table that `consort.costs.blocks` adds up from.

Pieces are timed inside networks, one after another as they run there: by itself a block finds its input and weights in
the processor's nearest cache and is a fifth faster than in any network. The networks that are timed whole, to know the
predictions' error, are others, and all take turns, so that a slow moment of the machine does not fall on one of them.
"""

import random
import time
from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from consort import hardware
from consort.costs import blocks
from consort.costs.blocks import HEAD, STEM, Piece, best_network, pieces, pieces_of_space, table_digest
from consort.costs.conditions import Conditions, Size, size_text
from consort.costs.records import LatencyTable
from consort.costs.runtimes import place_of
from consort.costs.timed import clock
from consort.documents import to_json
from consort.errors import InputError
from consort.models import compute, staged
from consort.space.choices import Space
from consort.space.networks import Network, parse
from consort.store import Store, keys

CHECKED = 30
"""Networks of the space that are measured whole to know the error of predicting them."""
WARM_UP = 3
"""Passes of every network before any is timed; and one whenever its turn comes, which the processor's caches, full of
another network, slow down."""
PASSES = 5
"""Timed passes of a network in a turn."""


def find_or_measure(store: Store, space: Space, conditions: Conditions, repeats: int = 50,
                       again: bool = False) -> LatencyTable:
    """The table of a space on this hardware: from the store, or measured now, which takes minutes, and stored."""
    key = keys.latency_table(hardware.hardware_id(hardware.describe()), table_digest(space, conditions))
    if not again and store.exists(key):
        known = blocks.stored_table(store, space, conditions)
        if known is not None:
            return known
    table = measure(space, conditions, repeats)
    store.write(key, to_json(table))
    return table


def measure(space: Space, conditions: Conditions, repeats: int = 50) -> LatencyTable:
    """Medians of `repeats` passes or more of every piece, and of whole networks that were not measured in pieces."""
    if conditions.runtime != "torch":
        raise InputError(f"blocks are measured in torch alone: with [latency] runtime = {conditions.runtime!r}, a "
                         'search measures whole networks: [search.objective] source = "measured".')
    started = time.perf_counter()
    timer = _Timer(place_of(conditions), conditions)
    covering = covering_networks(space, conditions.input)
    checked = _sample(space, {network.name for network in covering})
    with torch.inference_mode(), timer.place.autocast():
        timer.measure(covering, checked, repeats)
    pieces_ms = timer.pieces_ms()
    predicted = {name: sum(pieces_ms[piece.key] for piece in pieces(parse(name), conditions.input)) for name in checked}
    networks = {name: {"measured_ms": round(float(np.median(timer.of_networks[name])), 5),
                       "predicted_ms": round(ms, 5)} for name, ms in predicted.items()}
    described = hardware.describe()
    return LatencyTable(
        skeleton=space.skeleton, input=size_text(conditions.input), classes=conditions.classes,
        batch_size=conditions.batch_size, threads=conditions.threads, device=timer.place.device.type,
        precision=timer.place.precision, repeats=repeats,
        pieces_ms=pieces_ms, networks=networks, error=prediction_error(networks),
        seconds=round(time.perf_counter() - started, 2), hardware=described,
        hardware_id=hardware.hardware_id(described), versions=hardware.versions(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"))


def covering_networks(space: Space, input_size: Size) -> list[Network]:
    """Few networks that have every piece of the space between them: each one has the most that are still missing."""
    missing = set(pieces_of_space(space, input_size))
    chosen = []
    while missing:
        network, _ = best_network(space, input_size, missing.__contains__, max)
        missing -= set(pieces(network, input_size))
        chosen.append(network)
    return chosen


def prediction_error(networks: dict[str, dict]) -> dict:
    """How far predictions are from measurements, in percent of what was measured; see LatencyTable.error."""
    measured = np.array([network["measured_ms"] for network in networks.values()])
    predicted = np.array([network["predicted_ms"] for network in networks.values()])
    percent = 100 * (predicted / measured - 1)
    worst = int(np.argmax(abs(percent)))
    several = len(set(predicted)) > 1 and len(set(measured)) > 1
    return {"n": len(networks), "mean_absolute_percent": round(float(abs(percent).mean()), 2),
            "bias_percent": round(float(percent.mean()), 2), "worst_percent": round(float(percent[worst]), 2),
            "worst": list(networks)[worst],
            "rank_correlation": round(float(spearmanr(measured, predicted).statistic), 4) if several else None}


def _sample(space: Space, others: set[str]) -> list[str]:
    """Networks to check predictions on, none of the `others` unless the space has no more."""
    rng = random.Random(0)
    one = Space(space.skeleton, space.stages)
    seen = {one.encode([name]) for name in others}
    names: list[str] = []
    while len(names) < CHECKED and (drawn := one.draw_unseen(rng, seen)) is not None:
        seen.add(drawn)
        names += one.decode(drawn)
    return names or sorted(others)[:CHECKED]


class _Timer:
    """Modules of pieces and networks on a device, and the milliseconds that their passes took."""

    def __init__(self, place: compute.Compute, conditions: Conditions) -> None:
        self.place, self.classes, self.size = place, conditions.classes, conditions.input
        self.now = clock(place, conditions.threads)
        shape = (conditions.batch_size, 3, *conditions.input)
        self.images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(
            place.device, memory_format=torch.channels_last)
        self.modules: dict[Piece, nn.Module] = {}
        self.of_pieces: dict[str, list[list[float]]] = defaultdict(list)
        """Network -> for each pass the times of its pieces."""
        self.of_networks: dict[str, list[float]] = defaultdict(list)

    def measure(self, covering: list[Network], checked: list[str], repeats: int) -> None:
        """Rounds in which every network has its turn, in an order that changes."""
        in_pieces = {network.name: [(piece, self._module(network.skeleton, piece))
                                    for piece in pieces(network, self.size)] for network in covering}
        whole = {name: self._placed(staged.build(name, self.classes)) for name in checked}
        turns = [*(("pieces", name) for name in in_pieces), *(("whole", name) for name in whole)]
        rng = random.Random(0)
        for number in range(-WARM_UP, -(-repeats // PASSES)):
            rng.shuffle(turns)
            for way, name in turns:
                for index in range(1 if number < 0 else 1 + PASSES):
                    keep = number >= 0 and index > 0
                    if way == "pieces":
                        self._pass_in_pieces(name, in_pieces[name], keep)
                    else:
                        self._pass(name, whole[name], keep)

    def pieces_ms(self) -> dict[str, float]:
        """Piece -> its part of the median pass of a network that has it; of several networks' the median.

        Where the machine is busy, medians of pieces add up to less than the median of the passes that they are parts
        of, as every pass has some slow piece. So they only say how that median is divided.
        """
        parts = defaultdict(list)
        for name, passes in self.of_pieces.items():
            times = np.array(passes)
            medians = np.median(times, axis=0)
            scaled = medians * (np.median(times.sum(axis=1)) / medians.sum())
            for piece, ms in zip(pieces(parse(name), self.size), scaled, strict=True):
                parts[piece.key].append(ms)
        return {key: round(float(np.median(values)), 5) for key, values in parts.items()}

    def _pass_in_pieces(self, name: str, parts: list[tuple[Piece, nn.Module]], keep: bool) -> None:
        x, times = self.images, []
        for _, module in parts:
            started = self.now()
            x = module(x)
            times.append(1000 * (self.now() - started))
        if keep:
            self.of_pieces[name].append(times)

    def _pass(self, name: str, network: nn.Module, keep: bool) -> None:
        started = self.now()
        network(self.images)
        ms = 1000 * (self.now() - started)
        if keep:
            self.of_networks[name].append(ms)

    def _module(self, skeleton: str, piece: Piece) -> nn.Module:
        if piece not in self.modules:
            self.modules[piece] = self._placed(_build(skeleton, piece, self.classes))
        return self.modules[piece]

    def _placed(self, module: nn.Module) -> nn.Module:
        return self.place.place(module).eval()


def _build(skeleton: str, piece: Piece, classes: int) -> nn.Module:
    if piece.kind == STEM:
        return staged.stem(skeleton)
    if piece.kind == HEAD:
        return staged.Head(skeleton, piece.channels_in, classes)
    assert piece.stage is not None
    return staged.block(piece.channels_in, piece.stage, piece.stride, first=False)
