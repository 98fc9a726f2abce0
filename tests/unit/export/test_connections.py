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
    body = b"x" * int(scope["query_string"] or 0) + b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(seconds: int = 1, connections: int = 100) -> Iterator[int]:
    """The port of a server whose requests must begin within these seconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that the system keeps little of an answer
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
        assert let_in(port)


@pytest.mark.parametrize("size", [40_000, 10_000_000], ids=["written", "being written"])
def test_who_does_not_read_an_answer_is_let_go(size):
    with serving(connections=1) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(REQUEST.replace(b"/ ", b"/?%d " % size, 1))
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert let_in(port)


def let_in(port: int) -> bool:
    """Whether another client is answered, when the server has seen that one is gone."""
    ended = time.monotonic() + DEADLINE
    while time.monotonic() < ended:
        with connected(port) as another:
            if asked(another):
                return True
    return False
