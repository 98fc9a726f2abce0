"""A real MinIO server for tests: one process on a free port of the loopback device, with its own folder and keys."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import urllib3

from consort.store import S3Access
from consort.store.s3 import S3Store

START_SECONDS = 60.0


def find_program() -> Path | None:
    """The program: $CONSORT_MINIO, what tests/minio/install.sh built, PATH, or Go's folder of programs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    candidates = [os.environ.get("CONSORT_MINIO"), cache / "consort/bin/minio", shutil.which("minio"), _go_program()]
    return next((Path(path) for path in candidates if path and os.access(path, os.X_OK) and Path(path).is_file()), None)


def _go_program() -> Path | None:
    if shutil.which("go") is None:
        return None
    answer = subprocess.run(["go", "env", "GOPATH"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) / "bin/minio" if answer.returncode == 0 and answer.stdout.strip() else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class MinioServer:
    """Not started by its constructor, so that a test can let a client wait for it."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, self.access_key, self.secret_key, "us-east-1")

    def store(self, uri: str, deadline_seconds: float = 30.0, lease_seconds: float = 30.0) -> S3Store:
        return S3Store(uri, self.access, deadline_seconds, lease_seconds)

    def launch(self) -> None:
        """Start the process without waiting for it."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "MINIO_ROOT_USER": self.access_key,
                       "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "server", "--quiet", "--address", f"127.0.0.1:{self.port}", data],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        assert self.process is not None
        give_up_at = time.monotonic() + START_SECONDS
        with urllib3.PoolManager(retries=False, timeout=2) as http:
            while self.process.poll() is None and time.monotonic() < give_up_at:
                try:
                    if http.request("GET", f"{self.endpoint}/minio/health/ready").status == 200:
                        return
                except urllib3.exceptions.HTTPError:
                    pass
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"MinIO did not start within {START_SECONDS:g} s:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
