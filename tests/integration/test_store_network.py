"""A bucket behind TLS with a certificate of a private authority, and behind a proxy: real certificates and sockets.

The server keeps objects by their path, which is all of S3 that is asked here.
"""

import contextlib
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from consort.cli.options import open_store_at
from consort.errors import InputError
from consort.store import S3Access
from consort.store.s3 import S3Store

NAME = "store.test"
"""A host that only the certificate and the proxy know."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with authority.pem, and server.pem that it signed for NAME and 127.0.0.1."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("no openssl program")
        pytest.skip("no openssl program")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=A private authority", "-keyout", "authority.key",
            "-out", "authority.pem", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *new_key, "-subj", f"/CN={NAME}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME},IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-days", "2",
            "-out", "server.crt", "-extfile", "names")
    (folder / "server.pem").write_text((folder / "server.key").read_text() + (folder / "server.crt").read_text())
    return folder


@dataclass
class Objects:
    port: int
    kept: dict[str, bytes] = field(default_factory=dict)


@contextlib.contextmanager
def objects(certificate: Path | None) -> Iterator[Objects]:
    """A server of objects, over TLS where there is a certificate."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.kept(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self.kept(None)

        def kept(self, written: bytes | None) -> None:
            path = self.path.removeprefix(f"http://{NAME}").partition("?")[0]  # in full where a proxy was asked
            if written is not None:
                found.kept[path] = written
            answer = b"" if written is not None else found.kept[path]
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None: ...  # a client that does not trust the certificate hangs up

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        found = Objects(server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


@contextlib.contextmanager
def tunnels(port: int, status: str = "200 OK") -> Iterator[tuple[int, list[str]]]:
    """A proxy whose tunnels all lead to one port: its own port, and the first lines of what it was asked."""
    asked: list[str] = []

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            asked.append(lines.readline().decode().strip())
            while lines.readline().strip():
                pass
            client.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
            if not status.startswith("200"):
                return
            with socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], asked
        listener.shutdown(socket.SHUT_RDWR)


def store_at(endpoint: str, **variables: str) -> S3Store:
    return S3Store("s3://bucket/x", S3Access(endpoint, "the-access-key", "the-secret-key", "us-east-1", variables),
                   deadline_seconds=2)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificate_of_a_private_authority(certificates, monkeypatch, variable):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with objects(certificates / "server.pem") as server:
        for name, value in (("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{server.port}"), ("AWS_REGION", "us-east-1"),
                            ("AWS_ACCESS_KEY_ID", "the-access-key"), ("AWS_SECRET_ACCESS_KEY", "the-secret-key")):
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=r"over TLS.*set AWS_CA_BUNDLE"):
            open_store_at("s3://bucket/x").read("a")
        monkeypatch.setenv(variable, str(certificates / "authority.pem"))
        store = open_store_at("s3://bucket/x")
        store.write("a", b"hello")
        assert store.read("a") == b"hello"
        assert server.kept == {"/bucket/x/a": b"hello"}


def test_certificate_for_another_name_is_refused_whoever_signed_it(certificates):
    with objects(certificates / "server.pem") as server, pytest.raises(InputError, match="over TLS"):
        store_at(f"https://localhost:{server.port}", AWS_CA_BUNDLE=str(certificates / "authority.pem")).read("a")


def test_secure_server_by_way_of_a_proxy(certificates):
    with objects(certificates / "server.pem") as server, tunnels(server.port) as (port, asked):
        store = store_at(f"https://{NAME}", AWS_CA_BUNDLE=str(certificates / "authority.pem"),
                         HTTPS_PROXY=f"http://127.0.0.1:{port}", NO_PROXY="other.test")
        store.write("a", b"hello")
        assert store.read("a") == b"hello"
        assert asked[0].split()[:2] == ["CONNECT", f"{NAME}:443"]


def test_plain_server_by_way_of_a_proxy():
    with objects(None) as server:  # which is the proxy and the server in one
        store = store_at(f"http://{NAME}", HTTP_PROXY=f"127.0.0.1:{server.port}")
        store.write("a", b"hello")
        assert store.read("a") == b"hello"
        assert server.kept == {"/bucket/x/a": b"hello"}


def test_proxy_that_refuses_is_named_without_its_password():
    with tunnels(9, "407 Proxy Authentication Required") as (port, _):
        store = store_at(f"https://{NAME}", HTTPS_PROXY=f"http://user:hidden-word@127.0.0.1:{port}")
        with pytest.raises(InputError, match=rf"http://127.0.0.1:{port} \(HTTPS_PROXY\).*407.*NO_PROXY") as raised:
            store.read("a")
        assert "hidden-word" not in str(raised.value)
