"""What SIGTERM and Ctrl-C do to a command."""

import signal
from collections.abc import Callable


def interrupt_on_sigterm() -> Callable[[], bool]:
    """SIGTERM interrupts as Ctrl-C does (KeyboardInterrupt); the function returned tells whether it came."""
    came: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    return lambda: bool(came)


def stop_when_asked() -> Callable[[], bool]:
    """SIGTERM and Ctrl-C interrupt nothing from now on; the function returned tells whether one came."""
    came: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: came.append(number))
    return lambda: bool(came)
