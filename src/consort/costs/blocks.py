"""Latency of a space's networks as the sum of their measured pieces: stem, blocks, head. No torch here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from consort import hardware
from consort.costs.conditions import Conditions, Size, parse_size, size_text
from consort.costs.records import LatencyTable
from consort.documents import canonical_json, from_json, sha256
from consort.errors import InputError
from consort.space import networks
from consort.space.choices import Space
from consort.space.networks import SKELETONS, Network, Stage
from consort.store import Store, keys

STEM, HEAD = "stem", "head"


@dataclass(frozen=True)
class Piece:
    """A part of networks that is measured by itself; equal pieces take equally long wherever they stand."""

    kind: str
    """stem, head, or a block's kind."""
    channels_in: int
    input: Size
    stage: Stage | None = None
    """Of a block: depth 1, and `skip` says whether this very block adds its input."""
    stride: int = 1

    @property
    def key(self) -> str:
        """Such as `w16d1k3-from8-stride2-32x32`."""
        size = size_text(self.input)
        if self.stage is None:
            return f"{self.kind}-from{self.channels_in}-{size}"
        return f"{self.stage.text}-from{self.channels_in}-stride{self.stride}-{size}"


def pieces(network: Network, input_size: Size) -> list[Piece]:
    """What one forward pass runs, in order."""
    skeleton = SKELETONS[network.skeleton]
    found = [Piece(STEM, 3, input_size)]
    size, channels = _reduced(input_size, skeleton.stem_stride), skeleton.stem_width
    for stage, stride in zip(network.stages, skeleton.strides, strict=True):
        found += _stage_pieces(stage, channels, stride, size)
        size, channels = _reduced(size, stride), stage.width
    return [*found, Piece(HEAD, channels, size)]


def pieces_of_space(space: Space, input_size: Size) -> list[Piece]:
    """Every distinct piece of the space's networks; a stage's first block sees any width of the stage before."""
    skeleton = SKELETONS[space.skeleton]
    found = [Piece(STEM, 3, input_size)]
    size, widths = _reduced(input_size, skeleton.stem_stride), [skeleton.stem_width]
    for choices, stride in zip(space.stages, skeleton.strides, strict=True):
        stages = [choices.stage(indices) for indices in choices.variants]
        found += [piece for channels in widths for stage in stages
                  for piece in _stage_pieces(stage, channels, stride, size)]
        size, widths = _reduced(size, stride), list(choices.width)
    return list(dict.fromkeys([*found, *(Piece(HEAD, channels, size) for channels in widths)]))


def best_network(space: Space, input_size: Size, cost: Callable[[Piece], float],
                 better: Callable) -> tuple[Network, float]:
    """The network whose pieces' costs have the `better` (min or max) sum, and that sum.

    Exact without trying them all: for each width that a stage may end in, only the best way there goes on.
    """
    skeleton = SKELETONS[space.skeleton]
    ways: dict[int, tuple[float, tuple[Stage, ...]]] = {skeleton.stem_width: (cost(Piece(STEM, 3, input_size)), ())}
    size = _reduced(input_size, skeleton.stem_stride)
    for choices, stride in zip(space.stages, skeleton.strides, strict=True):
        stages = [choices.stage(indices) for indices in choices.variants]
        further = [(total + sum(map(cost, _stage_pieces(stage, channels, stride, size))), (*path, stage))
                   for channels, (total, path) in ways.items() for stage in stages]
        ways = {channels: better((way for way in further if way[1][-1].width == channels), key=_total)
                for channels in choices.width}
        size = _reduced(size, stride)
    total, path = better(((total + cost(Piece(HEAD, channels, size)), path)
                          for channels, (total, path) in ways.items()), key=_total)
    return networks.network(space.skeleton, path), total


def _total(way: tuple[float, tuple[Stage, ...]]) -> float:
    return way[0]


def _stage_pieces(stage: Stage, channels: int, stride: int, size: Size) -> list[Piece]:
    """The first block has the stride and adds its input only where it can project; those after it are alike."""
    one = replace(stage, depth=1)
    first = Piece(stage.block, channels, size, replace(one, skip=stage.skip and not stage.expands), stride)
    return [first] + [Piece(stage.block, stage.width, _reduced(size, stride), one)] * (stage.depth - 1)


def _reduced(size: Size, stride: int) -> Size:
    return -(-size[0] // stride), -(-size[1] // stride)


def table_digest(space: Space, conditions: Conditions) -> str:
    """10 hex digits of what a table is about; members do not matter, nor the order of choices."""
    covered = sorted({piece.key for piece in pieces_of_space(space, conditions.input)})
    identity = [space.skeleton, covered, conditions.classes, conditions.batch_size, conditions.threads,
                *conditions.further]
    return sha256(canonical_json(identity).encode())[:10]


def predict(table: LatencyTable, name: str) -> float:
    """Milliseconds of a forward pass of a network; InputError where the table has not measured a piece of it."""
    return _sum(table, pieces(networks.parse(name), parse_size(table.input)), name)


def _sum(table: LatencyTable, parts: Iterable[Piece], name: str) -> float:
    try:
        return sum(table.pieces_ms[piece.key] for piece in parts)
    except KeyError as e:
        raise InputError(f"{name}: the latency table has not measured its piece {e.args[0]}; the table is of another "
                         "search space. `consort latency-table STUDY` measures the one of the study.") from e


def fastest(table: LatencyTable, space: Space) -> tuple[str, float]:
    """The network of the space that the table predicts the least milliseconds for, and how many."""
    return _extreme(table, space, min)


def slowest(table: LatencyTable, space: Space) -> tuple[str, float]:
    return _extreme(table, space, max)


def _extreme(table: LatencyTable, space: Space, better: Callable) -> tuple[str, float]:
    network, ms = best_network(space, parse_size(table.input), lambda piece: _sum(table, [piece], "this space"),
                               better)
    return network.name, ms


def stored_table(store: Store, space: Space, conditions: Conditions,
                 hardware_id: str | None = None) -> LatencyTable | None:
    """The table of this space from the store; None where there is none for any hardware, or of another torch.

    It is the table of this machine, or of the hardware that `hardware_id` names, where a study searches for the latency
    of another machine. Raises InputError where the store has tables of other hardware only: latencies of one machine
    say nothing about another.
    """
    here = hardware.hardware_id(hardware.describe())
    wanted = hardware_id or here
    digest = table_digest(space, conditions)
    key = keys.latency_table(wanted, digest)
    if not store.exists(key):
        _refuse_others(store, digest, wanted)
        return None
    table = from_json(LatencyTable, store.read(key), key)
    if table.hardware_id != wanted:
        raise other_hardware(table, wanted, key)
    torch = hardware.versions().get("torch")
    return table if wanted != here or torch in (None, table.versions.get("torch")) else None


def _refuse_others(store: Store, digest: str, wanted: str) -> None:
    for key in store.list(keys.LATENCIES):
        if key.endswith(f"/{keys.latency_table_name(digest)}"):
            raise other_hardware(from_json(LatencyTable, store.read(key), key), wanted, key)


def other_hardware(table: LatencyTable, wanted: str, key: str) -> InputError:
    """The refusal of a table, with both ids and what to do."""
    measured_on = table.hardware.get("gpu") or table.hardware.get("cpu") or "unknown"
    return InputError(f"the latency table {key} was measured on hardware {table.hardware_id} ({measured_on}), and "
                      f"this search is for hardware {wanted}: milliseconds of one say nothing about the other. "
                      "`consort latency-table STUDY --again` measures here; to search for that hardware, write "
                      f'[latency] hardware = "{table.hardware_id}" into the study.')
