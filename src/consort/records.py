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
    """latency/<hardware id>/<architecture>-....json: seconds of wall clock for one forward pass of a batch."""

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
