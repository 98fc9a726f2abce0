"""While nothing is heard from a cluster, a line says what is waited for, and for how long."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from consort.events import Event, Listener, Quiet, Started

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

FIRST_SECONDS = 5.0
"""Silence is told after this, and again whenever it has lasted twice as long."""
LOOK_SECONDS = 1.0
_NO_NEWS = (Started,)
"""Events that a person may not see: a thousand jobs are created in a minute or two without a line."""


class Silence:
    """A context that passes events on to `listener`, and tells it Quiet while none comes.

    `awaits` says what is waited for. A thread asks, so that a request that blocks is no obstacle.
    """

    def __init__(self, api: "KubernetesApi", listener: Listener, awaits: Callable[[], str]) -> None:
        self.api, self.listener, self.awaits = api, listener, awaits
        self._heard, self._due_seconds = time.monotonic(), FIRST_SECONDS
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_often, daemon=True)

    def __enter__(self) -> "Silence":
        self._heard = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(LOOK_SECONDS)

    def listen(self, event: Event) -> None:
        if not isinstance(event, _NO_NEWS):
            self._heard, self._due_seconds = time.monotonic(), FIRST_SECONDS
        self.listener(event)

    def look(self, now: float) -> None:
        """Tell what is waited for, where that is due at this moment of the monotonic clock."""
        seconds = now - self._heard
        if seconds < self._due_seconds:
            return
        while self._due_seconds <= seconds:
            self._due_seconds *= 2
        away = f"the API server does not answer ({self.api.trouble}), it is asked again; " if self.api.trouble else ""
        self.listener(Quiet(away + self.awaits(), seconds))

    def _look_often(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look(time.monotonic())
