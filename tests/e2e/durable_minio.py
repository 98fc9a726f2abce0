"""A MinIO of its own for one test, whose data outlives its pod."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_namespace import kubectl

IMAGE = os.environ.get("CONSORT_E2E_MINIO_IMAGE", "docker.io/lab/minio:1")
KEY, SECRET = "durable", "durable-secret"


class DurableMinio:
    """MinIO in the namespace `name`; its data is on the node."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def endpoint(self) -> str:
        return f"http://minio.{self.name}:9000"

    def scale(self, replicas: int) -> None:
        """To 0: gone when this returns. To 1: ready; its Service may need a moment more to lead to it."""
        kubectl("-n", self.name, "scale", "deployment/minio", f"--replicas={replicas}")
        if replicas:
            kubectl("-n", self.name, "rollout", "status", "deployment/minio", "--timeout=120s")
        while not replicas and json.loads(kubectl("-n", self.name, "get", "pods", "-o", "json"))["items"]:
            time.sleep(0.3)


@contextmanager
def durable_minio(name: str) -> Iterator[DurableMinio]:
    folder = f"/var/tmp/{name}"
    kubectl("create", "namespace", name)
    try:
        objects = {"apiVersion": "v1", "kind": "List", "items": _objects(name, folder)}
        kubectl("apply", "-f", "-", text=json.dumps(objects))
        server = DurableMinio(name)
        server.scale(1)
        yield server
    finally:
        kubectl("delete", "namespace", name)
        shutil.rmtree(Path(folder), ignore_errors=True)


def _objects(namespace: str, folder: str) -> list[dict]:
    labels = {"app": "minio"}
    container = {
        "name": "minio", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "args": ["server", "/data", "--address", ":9000"],
        "env": [{"name": "MINIO_ROOT_USER", "value": KEY}, {"name": "MINIO_ROOT_PASSWORD", "value": SECRET}],
        "readinessProbe": {"httpGet": {"path": "/minio/health/ready", "port": 9000}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 2,
           "volumes": [{"name": "data", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "minio", "namespace": namespace},
         "spec": {"selector": labels, "ports": [{"port": 9000}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "minio", "namespace": namespace},
         "spec": {"replicas": 0, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels}, "spec": pod}}}]
