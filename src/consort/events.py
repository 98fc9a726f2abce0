"""What running steps tell: to whoever listens in this process, and as lines that another process reads."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consort.documents import canonical_json

Listener = Callable[[str, str, Mapping], None]
"""Called with (member id, event, values)."""


@dataclass
class Outcome:
    """How the members of a run ended."""

    trained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Member id -> reason."""


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
