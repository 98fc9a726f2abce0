"""A server's connections end where they only hold a place, and not where a request takes its time."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from consort.export.connections import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
SLOW = REQUEST.replace(b"/ ", b"/slow ", 1)
ENDLESS = REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000000\r\n\r\n")
DEADLINE = 60


async def answer(scope, receive, send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def serving(seconds: int = 1, connections: int = 100) -> Iterator[int]:
    """The port of a server whose requests must begin within these seconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=Connection, lifespan="off", log_level="error",
                                           timeout_keep_alive=seconds, limit_concurrency=connections + 1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(DEADLINE)
        listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as started:
        yield started


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def asked(client: socket.socket, request: bytes = REQUEST) -> bool:
    """Whether it is answered; False where the connection was closed."""
    try:
        client.sendall(request)
        answered = b""
        while not answered.endswith(b"ok") and (part := client.recv(4096)):
            answered += part
    except ConnectionError:
        return False
    return answered.startswith(b"HTTP/1.1 200")


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_a_connection_that_says_nothing_is_closed(port):
    with connected(port) as client:
        assert closed(client)


@pytest.mark.parametrize("before", [b"", REQUEST, ENDLESS],
                         ids=["first", "second", "body after its answer"])
def test_what_comes_a_byte_at_a_time_and_is_no_request_is_closed(port, before):
    with connected(port) as client:
        assert not before or asked(client, before)
        ended = time.monotonic() + DEADLINE
        with pytest.raises(ConnectionError):
            while time.monotonic() < ended:
                client.sendall(b"G")
                time.sleep(0.1)


def test_a_request_that_takes_longer_is_answered_and_the_next_one_too(port):
    with connected(port) as client:
        assert asked(client, SLOW) and asked(client, SLOW)


def test_connections_beyond_the_number_are_closed_and_the_others_answered():
    with serving(DEADLINE, connections=2) as port, connected(port) as first, connected(port) as second:
        assert asked(first) and asked(second)
        with connected(port) as third:
            assert closed(third)
        assert asked(first)
        first.close()
        ended = time.monotonic() + DEADLINE
        while time.monotonic() < ended:  # until the server has seen that it is gone
            with connected(port) as another:
                if asked(another):
                    return
        pytest.fail("nobody was let in again")
