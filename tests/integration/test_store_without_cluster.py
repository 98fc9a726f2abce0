"""A bucket that a team shares where nobody has a cluster: what the store alone can answer is answered from it."""

import subprocess
from pathlib import Path

import pytest
from small_members import consort

from minio_server import MinioServer

STUDY = """
name = "shared"
data = { source = "digits", train_images = 40, val_images = 20 }
architectures = { "wrn-10-1" = 2 }
recipe = { batch_size = 8 }
"""


@pytest.mark.minio
def test_list_status_and_logs_need_no_cluster(minio: MinioServer, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return consort(*arguments, "--store", "s3://shared-without-cluster/x", cwd=tmp_path, HOME=str(tmp_path),
                       KUBECONFIG="", AWS_ENDPOINT_URL_S3=minio.endpoint, AWS_ACCESS_KEY_ID=minio.access_key,
                       AWS_SECRET_ACCESS_KEY=minio.secret_key)

    status = run("status", "study.toml")
    assert status.returncode == 0 and "0 of 2 members of shared/" in status.stdout, status.stderr
    listed = run("list")
    assert listed.returncode == 0 and "0 of 2 members" in listed.stdout, listed.stderr
    logs = run("logs", "wrn-10-1-s0")
    assert logs.returncode == 2 and "no cluster" not in logs.stderr and "is not done" in logs.stderr, logs.stderr
    asked = run("list", "--namespace", "team")
    assert asked.returncode == 2 and "no cluster" in asked.stderr, "who names a namespace wants its jobs"
