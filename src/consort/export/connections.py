"""Connections that may not be held open for nothing: their number, how long the head of a request may take, and how
long an answer may lie unread.

uvicorn itself waits for ever for the first byte, for a head that comes a byte at a time, and for who does not read.

This file is part of every bundle, beside what uses it, and needs uvicorn alone.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """Of a uvicorn.Config with http=Connection.

    Closed as the one too many of `limit_concurrency`, from which on uvicorn would refuse the requests of all others
    too, or where the head of a request is not there within `timeout_keep_alive` seconds of the connection, or of the
    first byte that comes after an answer, or where an answer is not taken within as many.
    """

    head_timer: asyncio.TimerHandle | None = None
    unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self.connections.discard(self)  # it takes no place, though it is gone only a moment later
            transport.abort()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # a request is there, and not answered yet
            self._stop_waiting()
        elif self.head_timer is None:
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting_for_reader()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # closing would wait until all of it was read
        super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _stop_waiting_for_reader(self) -> None:
        if self.unread_timer is not None:
            self.unread_timer.cancel()
            self.unread_timer = None
