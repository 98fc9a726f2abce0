"""Requests to the API server, repeated while it is down or busy, and streams that end when their reader wants it.

Every attempt is counted, so that tests and benchmarks can say what a run costs the server.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from consort.cluster.api_errors import Refused, Request, passing_reason, reason, refusal, tls_refusal
from consort.errors import ClusterUnavailable, InputError

DEADLINE_SECONDS = 120.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 5.0
LOOK_SECONDS = 1.0
"""How often it is looked whether the reader of an open stream wants to stop."""

HasStopped = Callable[[], bool]


class Cut(Exception):
    """A stream broke before its end."""


class Ended(Exception):
    """The caller's `stopped` became true while a request was repeated."""


class _Silent(Exception):
    """Nothing was heard, and nothing had to be."""


class _Failed(Exception):
    """An attempt failed that may be repeated."""

    def __init__(self, why: str, asked_to_wait_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.asked_to_wait_seconds = asked_to_wait_seconds


@dataclass(frozen=True)
class Connection:
    """How to reach an API server. credentials: the headers that say who asks, renewed where they expire."""

    pool: urllib3.PoolManager
    server: str
    credentials: Callable[[], dict[str, str]]


def never() -> bool:
    return False


class Transport:
    """Safe to use from many threads at once.

    connect: makes a Connection; called again after the server refused the credentials, as they may be newer now.
    deadline_seconds: for how long a silent or busy server is asked again, from the first failure on.
    """

    def __init__(self, connect: Callable[[], Connection], deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._connect = connect
        self._connection = connect()
        self._lock = threading.Lock()
        self._streams = OpenStreams()
        self.deadline_seconds = deadline_seconds
        self.requests: Counter[tuple[str, str]] = Counter()
        self.trouble = ""
        """What the newest attempt failed with, where another may help; empty after one that went well."""

    @property
    def server(self) -> str:
        return self._connection.server

    def ask(self, request: Request, stopped: HasStopped = never) -> dict[str, Any]:
        """The answer as a dict."""
        response = self.send(request, stopped)
        try:
            answer = json.loads(response.data)
        except ValueError as e:
            raise InputError(f"{self.server} does not answer as a Kubernetes API server does ({request}): check the "
                             "server's address in the kubeconfig, and proxies on the way.") from e
        return dict(answer)

    @contextmanager
    def lines(self, request: Request, stopped: HasStopped, silent_seconds: float) -> Iterator[Iterator[bytes]]:
        """The lines of an answer that comes bit by bit; it ends soon after `stopped()` becomes true.

        silent_seconds: after which silence counts as a cut. The iterator raises Cut where the connection breaks.
        """
        response = self.send(request, stopped, silent_seconds)
        try:
            with self._streams.ended_when(stopped, response):
                yield _lines(response)
        finally:
            response.close()

    def send(self, request: Request, stopped: HasStopped = never,
             silent_seconds: float | None = None) -> urllib3.BaseHTTPResponse:
        """The first answer of the 2xx kind, its body unread where silent_seconds is given.

        Raises Refused or InputError where repeating cannot help, ClusterUnavailable after the deadline, Ended.
        """
        give_up_at, pause_seconds, renewed = None, 0.2, False
        while not stopped():
            connection = self._connection
            try:
                answer = self._attempt(connection, request, silent_seconds)
                self.trouble = ""
                return answer
            except _Silent:
                continue
            except Refused as e:
                if e.status != 401 or renewed:
                    raise
                renewed = True
                self._renew(connection)
                continue
            except _Failed as e:
                failure, self.trouble = e, str(e)
            now = time.monotonic()
            give_up_at = now + self.deadline_seconds if give_up_at is None else give_up_at
            if now >= give_up_at:
                raise ClusterUnavailable(
                    f"the cluster at {connection.server} did not answer within {self.deadline_seconds:g} s ({request}; "
                    f"last: {failure}). Check that it runs and can be reached from here, then run the same command "
                    "again; jobs that were started go on.") from failure
            # Jitter, so that many pods that lost one server do not come back at one moment; the last try is at the end.
            wanted = max(failure.asked_to_wait_seconds, pause_seconds * random.uniform(0.5, 1.0))
            _sleep(min(wanted, give_up_at - now), stopped)
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        raise Ended

    def _attempt(self, connection: Connection, request: Request,
                 silent_seconds: float | None) -> urllib3.BaseHTTPResponse:
        """One attempt: its answer, or _Failed where another can help, or what is wrong."""
        try:
            response = self._once(connection, request, silent_seconds)
            if response.status < 300:
                return response
            body = response.data
        except (HTTPError, OSError) as e:
            if request.late_answer and isinstance(e, ReadTimeoutError):
                raise _Silent from e
            if (wrong := tls_refusal(e, connection.server)) is not None:
                raise wrong from e
            raise _Failed(reason(e)) from e
        refused = refusal(request, connection.server, response.status, body)
        if refused is not None:
            raise refused
        raise _Failed(passing_reason(response.status, body), _retry_after_seconds(response))

    def _once(self, connection: Connection, request: Request, silent_seconds: float | None) -> urllib3.BaseHTTPResponse:
        with self._lock:
            self.requests[request.verb, request.kind] += 1
        headers = {"Accept": "application/json, */*", **connection.credentials()}
        body = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            body = json.dumps(request.body).encode()
        query = f"?{urlencode(request.query)}" if request.query else ""
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, self.deadline_seconds),
                                  read=ANSWER_SECONDS if silent_seconds is None else silent_seconds)
        return connection.pool.request(request.method, connection.server + request.path + query, body=body,
                                       headers=headers, timeout=timeout, retries=False, redirect=False,
                                       preload_content=silent_seconds is None)

    def _renew(self, refused: Connection) -> None:
        with self._lock:
            if self._connection is refused:
                self._connection = self._connect()


class OpenStreams:
    """Ends reads that would block for ever: one thread for all streams, which lives while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[HasStopped, urllib3.BaseHTTPResponse]] = {}
        self._looking = False

    @contextmanager
    def ended_when(self, stopped: HasStopped, response: urllib3.BaseHTTPResponse) -> Iterator[None]:
        """While in this context, the response's connection is shut down soon after `stopped()` becomes true."""
        if stopped is never:
            yield
            return
        with self._lock:
            self._open[id(response)] = stopped, response
            if not self._looking:
                threading.Thread(target=self._look, name="consort-streams", daemon=True).start()
                self._looking = True
        try:
            yield
        finally:
            with self._lock:
                del self._open[id(response)]

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                if not self._open:
                    self._looking = False
                    return
                for stopped, response in self._open.values():
                    if stopped():
                        _shut_down(response)


def _shut_down(response: urllib3.BaseHTTPResponse) -> None:
    try:
        response.shutdown()
    except (ValueError, RuntimeError, OSError):
        pass  # it ended by itself a moment ago


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines without their newline; a last line without one counts only where the stream ended as it should."""
    rest = b""
    try:
        for piece in response.stream(1 << 16):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
    except (HTTPError, OSError, ValueError, AttributeError) as e:  # the last two: a TLS socket that was shut down
        raise Cut(reason(e)) from e
    if rest:
        yield rest


def _retry_after_seconds(response: urllib3.BaseHTTPResponse) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def _sleep(seconds: float, stopped: HasStopped) -> None:
    """Sleep, but not much longer than until `stopped()`."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stopped():
        time.sleep(min(left, LOOK_SECONDS) if stopped is not never else left)


__all__ = ["Connection", "Cut", "Ended", "HasStopped", "Refused", "Request", "Transport", "never"]
