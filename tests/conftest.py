"""Fixtures that more than one folder of tests uses."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads that share a core wait for each other
sys.path.insert(0, str(Path(__file__).parent))  # for modules beside this one, such as minio_server

from minio_server import MinioServer, find_program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need CUDA are skipped where there is none, with the reason; no runner of CI has one."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch  # takes seconds, so only where it is needed

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no GPU that CUDA sees: `make test-gpu` runs these where there is"))


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
