"""The cluster that $KUBECONFIG names, for tests: fresh namespaces, and a relay whose connections a test can break."""

import base64
import contextlib
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes import client, config

TEST_IMAGE = os.environ.get("CONSORT_IMAGE", "docker.io/consort/consort:lab")
"""Of pods that only need a shell."""


def core() -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(os.environ["KUBECONFIG"]))


@contextlib.contextmanager
def fresh_namespace(prefix: str = "consort-test") -> Iterator[str]:
    """A namespace that is deleted afterwards, without waiting for it."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    api = core()
    api.create_namespace({"metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "consort-tests"}}})
    try:
        end = time.monotonic() + 30
        while not any(a.metadata.name == "default" for a in api.list_namespaced_service_account(name).items):
            assert time.monotonic() < end, "the namespace has no default service account: is a controller running?"
            time.sleep(0.05)
        yield name
    finally:
        api.delete_namespace(name)


def account_token(namespace: str, account: str) -> str:
    """A token of a service account."""
    body = {"spec": {"expirationSeconds": 600}}
    return str(core().create_namespaced_service_account_token(account, namespace, body).status.token)


def write_kubeconfig(path: Path, server: str | None = None, token: str | None = None) -> str:
    """A copy of $KUBECONFIG's current context, through another address or as somebody else."""
    source = Path(os.environ["KUBECONFIG"])
    found = yaml.safe_load(source.read_text())
    context = _named(found, "contexts", found["current-context"])["context"]
    cluster = _named(found, "clusters", context["cluster"])["cluster"]
    user = _named(found, "users", context["user"])["user"]
    for settings, key in ((cluster, "certificate-authority"), (user, "client-certificate"), (user, "client-key")):
        if key in settings:
            data = (source.parent / settings.pop(key)).read_bytes()
            settings[f"{key}-data"] = base64.b64encode(data).decode()
    if server is not None:
        cluster["tls-server-name"] = urlsplit(cluster["server"]).hostname
        cluster["server"] = server
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token} if token else user}]}))
    return str(path)


def server_address() -> tuple[str, int]:
    """Host and port of the API server."""
    found = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    context = _named(found, "contexts", found["current-context"])["context"]
    address = urlsplit(_named(found, "clusters", context["cluster"])["cluster"]["server"])
    return str(address.hostname), address.port or 443


def _named(found: dict[str, Any], what: str, name: str) -> dict[str, Any]:
    return next(item for item in found[what] if item["name"] == name)


class Relay:
    """Passes connections on to a server, until a test breaks them."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Reset every connection."""
        for side in self._open:
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client_side, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client_side.close()
                continue
            server_side = socket.create_connection(self.target)
            self._open += [client_side, server_side]
            for source, sink in ((client_side, server_side), (server_side, client_side)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for side in (source, sink):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        source.close()
