"""The records that steps leave in the store, and the lines that a running step prints. Units are in the names."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consort.errors import IntegrityError

Record = TypeVar("Record")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, so it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def to_json(record: Any) -> bytes:
    """A record as readable UTF-8 JSON."""
    return (json.dumps(dataclasses.asdict(record), indent=1) + "\n").encode()


def from_json(cls: type[Record], data: bytes, where: str) -> Record:
    """Read a record back; fields that this version does not know are ignored, missing ones are an IntegrityError."""
    try:
        values = json.loads(data)
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{k: v for k, v in values.items() if k in known})
    except (ValueError, TypeError, AttributeError) as e:
        raise IntegrityError(f"{where} is not a readable {cls.__name__}: {e}. Remove it (`consort rm`) and run "
                             "again.") from e


@dataclass(frozen=True)
class FileRecord:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class MemberRecord:
    """members/<id>/member.json, written last: its presence means that the member is done."""

    id: str
    architecture: str
    data: str
    """Fingerprint of the prepared data."""
    recipe: dict
    """All values, defaults included."""
    seed: int
    files: dict[str, dict]
    """File name -> {sha256, bytes}."""
    macs: int
    """Multiply-adds of one forward pass of one image."""
    params: int
    input: str
    """Height x width that the network sees, such as "32x32"."""
    val_accuracy: float | None
    """None for an imported member until `predict` has written its logits."""
    precision: str
    imported: bool = False
    train_images: int = 0
    """Images seen in training, epochs counted."""
    train_macs: int = 0
    """3 x macs x train_images: forward, and twice that for backward."""
    train_seconds: float = 0.0
    train_cpu_seconds: float = 0.0
    train_loss: float | None = None
    attempts: int = 1
    """Processes that it took: 1 when nothing interrupted the training."""
    processes: int = 1
    hardware: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    finished_at: str = ""


@dataclass(frozen=True)
class LatencyRecord:
    """latency/<hardware id>/<architecture>-....json: how long one forward pass of a batch takes."""

    architecture: str
    input: str
    classes: int
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    hardware: dict
    hardware_id: str
    versions: dict
    measured_at: str


@dataclass(frozen=True)
class LatencyTable:
    """latency/<hardware id>/table-....json: pieces of a space's networks, whose sum predicts a network's latency."""

    skeleton: str
    input: str
    classes: int
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int
    pieces_ms: dict[str, float]
    """Piece -> median milliseconds of one forward pass of a batch."""
    networks: dict[str, dict]
    """Whole networks that were measured among the pieces: name -> {measured_ms, predicted_ms}."""
    error: dict
    """Of the predictions for those networks: n, mean_absolute_percent, bias_percent (positive: predicted too slow),
    worst_percent, worst, rank_correlation (Spearman; null for one network)."""
    seconds: float
    """That measuring all of it took."""
    hardware: dict
    hardware_id: str
    versions: dict
    measured_at: str


@dataclass(frozen=True)
class TrialRecord:
    """trials/<id>.json: how a candidate of a search did. Written once, when its members are trained or cannot be."""

    id: str
    kind: str
    """single, uniform or joint: what the search that wrote it was looking for."""
    networks: tuple[str, ...]
    """One per member."""
    members: tuple[str, ...]
    """Member ids, in the order of `networks`."""
    state: str
    """done, failed or stopped."""
    reason: str | None
    """Why it failed or was stopped."""
    accuracy: float | None
    """Of the ensemble on the validation images, 0..1."""
    member_accuracies: tuple[float, ...]
    reward: float | None
    latency_ms: float | None
    """What the reward saw."""
    parallel_latency_ms: float | None
    serial_latency_ms: float | None
    network_latencies_ms: dict[str, float]
    latency_spread_ms: dict[str, tuple[float, float]] | None
    """Network -> 10th and 90th percentile; None where latencies come from a table."""
    latency_source: str
    """table or measured."""
    hardware_id: str
    macs: int | None
    """Sum over the members; this and the next two are None where it did not come to a network of each."""
    largest_macs: int | None
    params: int | None
    train_seconds: float
    """Spent by this trial; members that were there already cost nothing."""
    reused: int
    """Members that were there already."""
    versions: dict
    finished_at: str


def event_line(event: str, **values: Any) -> str:
    """One line of a step's machine-readable output."""
    return canonical_json({"event": event, **values})


def parse_event(line: str) -> Mapping[str, Any] | None:
    """The event on this line, or None where the line is ordinary text."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None
