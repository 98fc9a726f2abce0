"""A lock on an S3 server: an object that somebody must keep renewing."""

import contextlib
import datetime
import email.utils
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from consort.errors import Busy, ConsortError, MissingKey

LEAVING_SECONDS = 5.0
"""How long giving back may take when the server is away: a process that was told to end has little time."""

CLOCK_STEP_SECONDS = 1
"""Both of the server's times are cut to whole seconds, so an age can look one second larger than it is."""


class Server(Protocol):
    """The two requests that a lease needs."""

    def write_if(self, key: str, data: bytes, condition: Mapping[str, str], deadline_seconds: float) -> str | None:
        """Write if the condition holds (If-Match, If-None-Match): the object's new ETag, or None if it does not."""

    def read_with_headers(self, key: str, deadline_seconds: float) -> tuple[bytes, Mapping[str, str]]: ...


@dataclass(frozen=True)
class Held:
    """A lease as it lies on the server."""

    owner: str
    etag: str
    expired: bool


class Lease:
    """Ownership of `key` for `ttl_seconds` after each renewal; a process that died lets it expire.

    The object is JSON: {"owner", "ttl_seconds"}. It is created only where there is none, and replaced only while it is
    still the version that was read (conditional PUT), so two can never both take it. Its age is the server's Date
    minus its Last-Modified: two times of one clock, none of them this machine's.

    A process that stood still for longer than its lease may find it taken. It goes on: what members write depends on
    their id alone, so that two of them write the same.
    """

    def __init__(self, server: Server, key: str, ttl_seconds: float) -> None:
        self.server = server
        self.key = key
        self.ttl_seconds = ttl_seconds
        # Who to look for, and a part that no other attempt to take it has.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        self.etag: str | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the lease or raise Busy; renew it in the background; give it back in the end."""
        self.take()
        stop = threading.Event()
        renewing = threading.Thread(target=self._keep_renewing, args=(stop,), name=f"lease {self.key}", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            stop.set()
            renewing.join(LEAVING_SECONDS)
            self.release()

    def take(self) -> None:
        self.etag = self._write({"If-None-Match": "*"})
        if self.etag is not None:
            return
        held = self._read()
        if held is None:  # given back between the two requests
            self.etag = self._write({"If-None-Match": "*"})
        elif held.owner == self.owner:  # our own write, whose answer was lost and which was therefore repeated
            self.etag = held.etag
        elif held.expired:
            self.etag = self._write({"If-Match": held.etag})
        if self.etag is None:
            holder = held.owner.rsplit(":", 1)[0] if held else "another process"
            raise Busy(f"{self.key} is held by {holder}; try again when it has ended. The lock of a process that died "
                       f"frees itself after {self.ttl_seconds:g} s.")

    def renew(self) -> None:
        """Once more `ttl_seconds`; the lease counts as lost where somebody else has taken it."""
        if self.etag is None:
            return
        etag = self._write({"If-Match": self.etag})
        if etag is None:
            held = self._read()
            etag = held.etag if held and held.owner == self.owner else None
        self.etag = etag

    def release(self) -> None:
        """Leave a lease that has expired, on the condition that it is still ours; without an answer it expires.

        Not deleted: MinIO deletes whatever If-Match says, and so perhaps the lease of another.
        """
        if self.etag is not None:
            with contextlib.suppress(ConsortError):
                lease = {"owner": self.owner, "ttl_seconds": 0}
                self.server.write_if(self.key, json.dumps(lease).encode(), {"If-Match": self.etag}, LEAVING_SECONDS)

    def _keep_renewing(self, stop: threading.Event) -> None:
        while not stop.wait(self.ttl_seconds / 3):
            # The server may come back within the lease, so a failure is not the end of trying.
            with contextlib.suppress(ConsortError):
                self.renew()

    def _write(self, condition: Mapping[str, str]) -> str | None:
        lease = {"owner": self.owner, "ttl_seconds": self.ttl_seconds}
        return self.server.write_if(self.key, json.dumps(lease).encode(), condition, self.ttl_seconds / 3)

    def _read(self) -> Held | None:
        try:
            data, headers = self.server.read_with_headers(self.key, self.ttl_seconds / 3)
        except MissingKey:
            return None
        try:
            lease = json.loads(data)
            owner, ttl_seconds = str(lease["owner"]), float(lease["ttl_seconds"])
        except (ValueError, KeyError, TypeError):
            # Not written by a lease; it lasts as long as ours so that it cannot block the key for ever.
            owner, ttl_seconds = "an unknown process:", self.ttl_seconds
        age_seconds = (_time(headers["Date"]) - _time(headers["Last-Modified"])).total_seconds()
        expired = ttl_seconds == 0 or age_seconds > ttl_seconds + CLOCK_STEP_SECONDS
        return Held(owner, headers["ETag"].strip('"'), expired)


def _time(http_date: str) -> datetime.datetime:
    return email.utils.parsedate_to_datetime(http_date)
