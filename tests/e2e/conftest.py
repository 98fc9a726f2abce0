"""Tests on the cluster that KUBECONFIG names. Its S3 server: see cluster_namespace.py; the lab's is the default."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one

from cluster_namespace import ClusterNamespace, address_here, fresh_namespace
from durable_minio import KEY, SECRET, DurableMinio, durable_minio
from place import Place

from consort.store import S3Access

NO_CLUSTER = "KUBECONFIG names no cluster: these tests need one with the Kubeflow Training Operator and an S3 server"


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Without a cluster the tests are skipped, or fail where CI is set."""
    if not os.environ.get("KUBECONFIG"):
        if os.environ.get("CI"):
            pytest.fail(NO_CLUSTER)
        pytest.skip(NO_CLUSTER)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[ClusterNamespace]:
    """A fresh namespace, Pod Security restricted, with manifests/base and a bucket of its own; deleted afterwards."""
    with fresh_namespace(tmp_path) as fresh:
        yield fresh


@pytest.fixture
def place(namespace: ClusterNamespace) -> Place:
    """The same, for tests that use it through `consort`."""
    return Place.of(namespace)


@pytest.fixture
def durable_place(tmp_path: Path) -> Iterator[tuple[Place, DurableMinio]]:
    """A namespace whose store is a MinIO of its own, which can be away for a while."""
    with durable_minio(f"consort-s3-{secrets.token_hex(4)}") as minio:
        access = S3Access(address_here(minio.endpoint), KEY, SECRET, None)
        with fresh_namespace(tmp_path, access, minio.endpoint) as fresh:
            yield Place.of(fresh), minio
