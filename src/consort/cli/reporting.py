"""How a step tells what it does: lines for a person, or one JSON event a line for another process."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from consort.errors import ConsortError
from consort.plurals import are, counted

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


class Told(ConsortError):
    """How several members ended, each of which was told."""

    def __init__(self, failures: Sequence[ConsortError]) -> None:
        super().__init__(f"{counted(len(failures), 'member')} {are(len(failures))} not done; each was told above.")
        self.exit_code = max(failure.exit_code for failure in failures)


@contextmanager
def failures_told(listen: "Listener", log: str) -> Iterator[None]:
    """With --log json a failure is an event, told by the first of several processes, and the step ends with its exit
    code."""
    from consort.events import StepEnded
    from consort.train.torchrun import kind_of

    try:
        yield
    except ConsortError as e:
        if log != "json" or os.environ.get("RANK", "0") != "0":
            raise
        if not isinstance(e, Told):
            listen(StepEnded(kind_of(e), str(e), e.exit_code))
        sys.exit(e.exit_code)
