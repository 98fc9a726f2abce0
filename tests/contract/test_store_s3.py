"""What only a server can do to its users: refuse them, be away, be full."""

import contextlib
import dataclasses
import http.server
import os
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consort.errors import ConsortError, InputError, MissingKey, StoreUnavailable
from consort.store import S3Access, open_store, s3_errors
from consort.store.lease import Lease
from consort.store.s3 import S3Store
from minio_server import MinioServer, free_port

pytestmark = pytest.mark.minio

USES: dict[str, Callable[[S3Store, Path], object]] = {
    "read": lambda store, folder: store.read("a"),
    "write": lambda store, folder: store.write("a", b"1"),
    "exists": lambda store, folder: store.exists("a"),
    "list": lambda store, folder: store.list("a"),
    "delete": lambda store, folder: store.delete("a"),
    "put_file": lambda store, folder: store.put_file("a", Path(__file__)),
    "get_file": lambda store, folder: store.get_file("a", folder),
    "lock": lambda store, folder: store.lock("locks/a").__enter__(),
}


@pytest.fixture
def late_server(minio_program: Path, tmp_path: Path) -> Iterator[MinioServer]:
    """A server that is not running yet."""
    server = MinioServer(minio_program, tmp_path)
    yield server
    server.stop()


def assert_tells_no_secret(error: BaseException, *secrets: str | None) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert [secret for secret in secrets if secret and secret in told] == []


@pytest.mark.parametrize("use", USES)
def test_unknown_access_key(minio: MinioServer, tmp_path: Path, use: str) -> None:
    access = dataclasses.replace(minio.access, access_key="unknown-access-key", secret_key="some-secret-key")
    with pytest.raises(InputError, match=f"{minio.endpoint} refused .*AWS_ACCESS_KEY_ID") as raised:
        USES[use](S3Store("s3://refused/x", access), tmp_path)
    assert_tells_no_secret(raised.value, access.access_key, access.secret_key)


@pytest.mark.parametrize("use", USES)
def test_wrong_secret_key(minio: MinioServer, tmp_path: Path, use: str) -> None:
    access = dataclasses.replace(minio.access, secret_key="not-the-secret-key")
    with pytest.raises(InputError, match=f"{minio.endpoint} refused .*AWS_SECRET_ACCESS_KEY") as raised:
        USES[use](S3Store("s3://refused/x", access), tmp_path)
    assert not isinstance(raised.value, MissingKey)
    assert_tells_no_secret(raised.value, access.access_key, access.secret_key)


def test_tls_to_a_server_without_it(minio: MinioServer) -> None:
    access = dataclasses.replace(minio.access, endpoint=minio.endpoint.removeprefix("http://"))
    with pytest.raises(InputError, match="http:// in front"):
        S3Store("s3://bucket/x", access).exists("a")


@pytest.mark.parametrize("use", USES)
def test_server_that_stays_away(tmp_path: Path, use: str) -> None:
    access = S3Access(f"http://127.0.0.1:{free_port()}", "the-access-key", "the-secret-key", "us-east-1")
    store = S3Store("s3://bucket/x", access, deadline_seconds=0.5, lease_seconds=1.5)
    with pytest.raises(StoreUnavailable, match=rf"{access.endpoint} did not answer within 0\.5 s .*refused") as raised:
        USES[use](store, tmp_path)
    assert_tells_no_secret(raised.value, access.access_key, access.secret_key)


@contextlib.contextmanager
def stranger(port: int, status_of: Callable[[str], int] = lambda method: 404) -> Iterator[None]:
    """A web server that is not S3's and knows no page; connections that were made to it outlast it.

    status_of: the status of its answer to a method."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status_of(self.command))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield
        finally:
            server.shutdown()


def test_what_is_waited_for_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(s3_errors, "SILENT_SECONDS", 0.2)
    access = S3Access(f"http://127.0.0.1:{free_port()}", "the-access-key", "the-secret-key", "us-east-1")
    with pytest.raises(StoreUnavailable):
        S3Store("s3://bucket/x", access, deadline_seconds=1.5).read("a")
    (told,) = caplog.messages
    assert "does not answer (a; Connection refused): asking again for up to 1" in told and "-key" not in told


@pytest.mark.parametrize("use", USES)
def test_no_s3_server_at_the_address(tmp_path: Path, use: str) -> None:
    port = free_port()
    access = S3Access(f"http://127.0.0.1:{port}", "the-access-key", "the-secret-key", "us-east-1")
    store = S3Store("s3://bucket/x", access, deadline_seconds=0.5, lease_seconds=1.5)
    with stranger(port), pytest.raises(InputError, match="status 404 and not as an S3 server does") as raised:
        USES[use](store, tmp_path)
    assert not isinstance(raised.value, MissingKey)


@pytest.mark.parametrize("use", USES)
def test_something_else_answers_for_a_moment(late_server: MinioServer, tmp_path: Path, use: str) -> None:
    late_server.start()
    late_server.store("s3://bucket/x").write("a", b"1")
    late_server.stop()
    store = late_server.store("s3://bucket/x", deadline_seconds=60)
    with ThreadPoolExecutor() as pool:
        with stranger(late_server.port):
            using = pool.submit(USES[use], store, tmp_path)
            time.sleep(1)
            assert not using.done(), "neither refused nor taken for an empty store"
        late_server.launch()
        found = using.result(60)
    assert use != "exists" or found is True


def test_the_address_is_not_wrong_for_what_answered_while_the_server_was_away(monkeypatch) -> None:
    monkeypatch.setattr(s3_errors, "STRANGER_SECONDS", 0.5)
    start = time.monotonic()
    port = free_port()
    access = S3Access(f"http://127.0.0.1:{port}", "the-access-key", "the-secret-key", "us-east-1")
    store = S3Store("s3://bucket/x", access, deadline_seconds=60)
    seen: list[int] = []

    def status(method: str) -> int:
        """A gateway that has lost its backend for a second, then its route for a moment."""
        seen.append(502 if time.monotonic() < start + 1 else 200 if 404 in seen else 404)
        return seen[-1]

    with stranger(port, status):
        assert store.read("a") == b""
    assert set(seen[:-2]) == {502} and seen[-2:] == [404, 200]


def test_an_object_that_a_stranger_denied_is_looked_for_again() -> None:
    port = free_port()
    access = S3Access(f"http://127.0.0.1:{port}", "the-access-key", "the-secret-key", "us-east-1")
    heads = iter([404, 200])
    with stranger(port, lambda method: next(heads) if method == "HEAD" else 200):
        assert S3Store("s3://bucket/x", access).exists("a")


def test_server_that_comes_late(late_server: MinioServer, tmp_path: Path) -> None:
    store = late_server.store("s3://bucket/x", deadline_seconds=60)
    starting = threading.Timer(1.5, late_server.launch)
    starting.start()
    store.write("a", b"1")
    assert store.read("a") == b"1"
    starting.join()


def test_server_that_restarts(late_server: MinioServer) -> None:
    store = late_server.store("s3://bucket/x", deadline_seconds=60)
    late_server.start()
    store.write("a", b"1")
    late_server.stop()
    starting = threading.Timer(1.0, late_server.launch)
    starting.start()
    assert store.read("a") == b"1"
    starting.join()


def test_lock_outlasts_a_restart_of_the_server(late_server: MinioServer) -> None:
    late_server.start()
    store = late_server.store("s3://bucket/x", lease_seconds=30)
    lease = Lease(store, "locks/m", ttl_seconds=30)
    lease.take()
    late_server.stop()
    with pytest.raises(StoreUnavailable):
        Lease(late_server.store("s3://bucket/x"), "locks/m", ttl_seconds=1).take()
    late_server.start()
    lease.renew()
    assert lease.etag is not None
    lease.release()
    with store.lock("locks/m"):
        pass


def test_only_one_takes_an_expired_lease(minio: MinioServer) -> None:
    store = minio.store("s3://leases/x")
    died = Lease(store, "locks/m", ttl_seconds=1)
    died.take()
    time.sleep(3.1)
    contenders = [Lease(store, "locks/m", ttl_seconds=30) for _ in range(8)]
    at_once = threading.Barrier(len(contenders))

    def contend(lease: Lease) -> None:
        at_once.wait()
        try:
            lease.take()
        except ConsortError:
            pass

    threads = [threading.Thread(target=contend, args=(lease,)) for lease in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease.etag is not None for lease in contenders) == 1


def test_a_lease_that_was_lost_is_not_taken_back(minio: MinioServer) -> None:
    store = minio.store("s3://leases/x")
    slept = Lease(store, "locks/slept", ttl_seconds=1)
    slept.take()
    time.sleep(3.1)
    with store.lock("locks/slept"):
        slept.release()
        slept.renew()
        assert slept.etag is None
        with pytest.raises(ConsortError, match="is held by"), store.lock("locks/slept"):
            pass


def test_cached_copy_is_not_downloaded_again(late_server: MinioServer, tmp_path: Path) -> None:
    late_server.start()
    store = late_server.store("s3://bucket/x")
    store.write("a/b.npy", b"12345")
    first = store.get_file("a/b.npy", tmp_path / "cache")
    written_at = first.stat().st_mtime_ns
    assert store.get_file("a/b.npy", tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == written_at
    first.write_bytes(b"123")  # cut short by somebody
    assert store.get_file("a/b.npy", tmp_path / "cache").read_bytes() == b"12345"
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["b.npy"]


def test_cache_that_cannot_be_written(minio: MinioServer, tmp_path: Path) -> None:
    store = minio.store("s3://bucket/x")
    store.write("a", b"1")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"the cache .* cannot be used"):
        store.get_file("a", tmp_path / "file" / "cache")


def test_prefixes_share_a_bucket_without_meeting(minio: MinioServer) -> None:
    one, other, whole = (minio.store(uri) for uri in ("s3://shared/one", "s3://shared/one-more/", "s3://shared"))
    one.write("m/a", b"1")
    other.write("m/a", b"2")
    assert (one.read("m/a"), other.read("m/a"), whole.read("one/m/a")) == (b"1", b"2", b"1")
    assert list(whole.list("one")) == ["one/m/a"]
    one.delete("m")
    assert list(whole.list("one-more")) == ["one-more/m/a"]


def test_missing_bucket_is_named(minio: MinioServer) -> None:
    with pytest.raises(MissingKey, match=f"{minio.endpoint} has no bucket never-made, so no object a"):
        minio.store("s3://never-made/x").read("a")


def test_open_store_opens_a_bucket(minio: MinioServer) -> None:
    store = open_store("s3://opened/a/b/", minio.access)
    store.write("x", b"1")
    assert store.uri == "s3://opened/a/b"
    assert minio.store("s3://opened/a").read("b/x") == b"1"


def test_representations_tell_no_secret(minio: MinioServer) -> None:
    told = f"{minio.access!r} {minio.access} {minio.store('s3://bucket/x')!r}"
    assert minio.secret_key not in told
    assert minio.access_key not in told


def test_server_without_room(minio_program: Path, tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", tmp_path], capture_output=True,
                             text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    server = MinioServer(minio_program, tmp_path)
    try:
        server.start()
        store = server.store("s3://bucket/x", deadline_seconds=30)
        with pytest.raises(StoreUnavailable, match=f"{server.endpoint} is full"):
            for i in range(20):
                store.write(f"big/{i}", os.urandom(4 << 20))
    finally:
        server.stop()
        subprocess.run(["umount", tmp_path], check=True)
