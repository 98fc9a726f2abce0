"""Canonical JSON, hashes, records as the files of a store, and TOML as it is written."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from consort.errors import InputError, IntegrityError

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
        of_member = where.startswith("members/")
        remedy = f"Remove it (`consort rm {where.split('/')[1]}`)" if of_member else "Delete this file"
        raise IntegrityError(f"{where} is not a readable {cls.__name__}: {e}. {remedy} and run again.") from e


@dataclass(frozen=True)
class FileRecord:
    sha256: str
    bytes: int


def to_toml(values: Mapping[str, Any]) -> str:
    """A study file: what is a dict becomes a table, without those that are empty, and stands after the rest."""
    tables = {name: table for name, table in values.items() if isinstance(table, dict)}
    lines = [_assignments({name: value for name, value in values.items() if name not in tables})]
    lines += [f"\n[{name}]\n{_assignments(table)}" for name, table in tables.items() if table]
    return "\n".join(lines) + "\n"


def _assignments(table: Mapping[str, Any], between: str = "\n") -> str:
    """Keys are quoted where TOML wants it."""
    return between.join(f"{key if re.fullmatch(r'[A-Za-z0-9_-]+', key) else _toml(key)} = {_toml(value)}"
                        for key, value in table.items())


def _toml(value: Any) -> str:
    """A value within a line; TOML's strings take the escapes of JSON's, except the one of DEL, which names lack."""
    if isinstance(value, dict):
        return f"{{ {_assignments(value, ', ')} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if value is None:
        raise InputError("a study file has no null: leave the key out.")
    return json.dumps(value)
