"""How a step tells what it does: lines for a person, or one JSON event a line for another process."""

from collections.abc import Callable
from typing import Any


def reporter(log: str) -> Callable[..., None]:
    """What --log names; InputError for another name."""
    from consort.errors import unknown_name

    reporters = {"text": _text, "json": _json}
    if log not in reporters:
        raise unknown_name("kind of --log", log, reporters)
    return reporters[log]


def _json(event: str, **values: Any) -> None:
    from consort.events import event_line

    print(event_line(event, **values), flush=True)


def _text(event: str, **values: Any) -> None:
    shown = "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                      for name, value in values.items())
    print(f"{event}  {shown}", flush=True)
