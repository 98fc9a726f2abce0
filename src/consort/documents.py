"""Canonical JSON, hashes, and records as the files of a store."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
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
