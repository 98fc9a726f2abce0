"""Fixtures that more than one folder of tests uses."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads that share a core wait for each other
sys.path.insert(0, str(Path(__file__).parent))  # for modules beside this one, such as minio_server

from minio_server import MinioServer, find_program

HOW_TO_GET_MINIO = ("no MinIO server program: run tests/minio/install.sh, which builds it with Go, or name one in "
                    "$CONSORT_MINIO")


@pytest.fixture(scope="session")
def minio_program() -> Path:
    """The MinIO server program; without one the test is skipped, or fails where CI is set."""
    program = find_program()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_MINIO)
        pytest.skip(HOW_TO_GET_MINIO)
    return program


@pytest.fixture(scope="session")
def minio(minio_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A running MinIO server with an empty folder and random credentials."""
    server = MinioServer(minio_program, tmp_path_factory.mktemp("minio"))
    server.start()
    yield server
    server.stop()
