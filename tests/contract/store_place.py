"""Where a store under test is, and other processes that use it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consort.store import Store
from consort.store.folder import FolderStore
from minio_server import MinioServer


@dataclass
class Place:
    """Where a store is: a new folder, or a new bucket of the server."""

    uri: str
    server: MinioServer | None = None

    def open(self, lease_seconds: float = 30.0) -> Store:
        if self.server is None:
            return FolderStore(Path(self.uri))
        return self.server.store(self.uri, lease_seconds=lease_seconds)

    @contextlib.contextmanager
    def process(self, task: str, key: str, lease_seconds: float = 30.0) -> Iterator[subprocess.Popen[str]]:
        """Another process at work (see store_process.py); told to end, and waited for, when the context ends."""
        environment = dict(os.environ)
        if self.server is not None:
            environment |= {"AWS_ENDPOINT_URL_S3": self.server.endpoint,
                            "AWS_ACCESS_KEY_ID": self.server.access_key,
                            "AWS_SECRET_ACCESS_KEY": self.server.secret_key}
        program = [sys.executable, Path(__file__).parent / "store_process.py"]
        with subprocess.Popen([*program, task, self.uri, key, str(lease_seconds)], env=environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.communicate(timeout=60)
