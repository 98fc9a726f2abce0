"""How a step tells what it does: lines for a person, or one JSON event a line for another process."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consort.events import Event, Listener


def listener(log: str) -> "Listener":
    """Prints events as --log says; InputError for another name."""
    from consort.errors import unknown_name

    listeners: dict[str, Listener] = {"text": _print_text, "json": _print_json}
    if log not in listeners:
        raise unknown_name("kind of --log", log, listeners)
    return listeners[log]


def _print_json(event: "Event") -> None:
    from consort.events import line

    print(line(event), flush=True)


def _print_text(event: "Event") -> None:
    from consort.events import contents

    shown = "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                      for name, value in contents(event).items())
    print(f"{event.name}  {shown}", flush=True)
