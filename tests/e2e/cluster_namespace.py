"""A namespace of a real cluster with Consort's manifests in it, and a bucket of its own, for one test."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minio.deleteobjects import DeleteObject

from consort.store import S3Access, Store, open_store
from minio import Minio

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def kubectl(*arguments: str | Path, text: str | None = None, seconds: float = 120) -> str:
    """kubectl's output; a failure is an AssertionError with what it said."""
    done = subprocess.run(["kubectl", *map(str, arguments)], input=text, capture_output=True, text=True,
                          timeout=seconds, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}"
    return done.stdout


@dataclass(frozen=True)
class ClusterNamespace:
    name: str
    store_uri: str
    access: S3Access
    """How this process reaches the store; in pods the Secret and the ConfigMap say it."""

    def kubectl(self, *arguments: str | Path, text: str | None = None, seconds: float = 120) -> str:
        return kubectl("-n", self.name, *arguments, text=text, seconds=seconds)

    def get(self, *arguments: str) -> dict:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def store(self) -> Store:
        return open_store(self.store_uri, self.access)

    def environment(self) -> dict[str, str]:
        """Of a `consort` command that runs beside the test and uses this namespace's store and images."""
        return {**os.environ, "CONSORT_STORE": self.store_uri, "AWS_ENDPOINT_URL": str(self.access.endpoint),
                "AWS_ACCESS_KEY_ID": str(self.access.access_key), "AWS_SECRET_ACCESS_KEY": str(self.access.secret_key),
                "CONSORT_IMAGE": plain_image(), "CONSORT_TORCH_IMAGE": torch_image()}


def plain_image() -> str:
    return os.environ.get("CONSORT_IMAGE", "docker.io/consort/consort:lab")


def torch_image() -> str:
    return os.environ.get("CONSORT_TORCH_IMAGE", "docker.io/consort/consort-torch:lab")


def endpoint_in_pods() -> str:
    return os.environ.get("CONSORT_E2E_S3", "http://minio.minio:9000")


def endpoint_here() -> str:
    """The S3 server's address for this process: $CONSORT_E2E_S3_HERE, else the cluster address of the pods' Service."""
    if given := os.environ.get("CONSORT_E2E_S3_HERE"):
        return given
    return address_here(endpoint_in_pods())


def address_here(endpoint: str) -> str:
    """Where this process reaches a Service that pods call http://<service>.<namespace>:<port>."""
    url = urlsplit(endpoint)
    service, namespace = str(url.hostname).split(".")[:2]
    address = kubectl("-n", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")
    return f"{url.scheme}://{address}:{url.port or 80}"


def shared_access() -> S3Access:
    """The S3 server that all tests use."""
    return S3Access(endpoint_here(), os.environ.get("CONSORT_E2E_S3_KEY", "lab"),
                    os.environ.get("CONSORT_E2E_S3_SECRET", "lab-password"), None)


@contextmanager
def fresh_namespace(folder: Path, access: S3Access | None = None, endpoint: str | None = None
                    ) -> Iterator[ClusterNamespace]:
    """A namespace with Pod Security restricted and manifests/base; folder takes the generated overlay.

    access and endpoint (as pods reach it): of another S3 server than the one that all tests use."""
    name = f"consort-e2e-{secrets.token_hex(4)}"
    access, endpoint = access or shared_access(), endpoint or endpoint_in_pods()
    write_overlay(folder, name, access, endpoint)
    kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", name, RESTRICTED)
        kubectl("apply", "-k", folder)
        yield ClusterNamespace(name, f"s3://{name}", access)
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        delete_bucket(name, access)


def write_overlay(folder: Path, namespace: str, access: S3Access, endpoint: str) -> None:
    """A kustomization as a user writes one: base, the store's address, images, and the Secret from an env file."""
    keys = f"AWS_ACCESS_KEY_ID={access.access_key}\nAWS_SECRET_ACCESS_KEY={access.secret_key}\n"
    (folder / "store.env").write_text(keys)
    settings = [f"CONSORT_STORE=s3://{namespace}", f"AWS_ENDPOINT_URL={endpoint}",
                f"CONSORT_IMAGE={plain_image()}", f"CONSORT_TORCH_IMAGE={torch_image()}"]
    (folder / "kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(MANIFESTS / "base", folder.resolve())],
        "components": [os.path.relpath(MANIFESTS / "components/image", folder.resolve())],
        "configMapGenerator": [{"name": "consort", "behavior": "merge", "literals": settings}],
        "secretGenerator": [{"name": "consort-store", "envs": ["store.env"]}],
        "generatorOptions": {"disableNameSuffixHash": True},
    }))


def delete_bucket(bucket: str, access: S3Access) -> None:
    url = urlsplit(str(access.endpoint))
    client = Minio(url.netloc, access_key=access.access_key, secret_key=access.secret_key, secure=url.scheme == "https")
    if client.bucket_exists(bucket):
        objects = [DeleteObject(str(found.object_name)) for found in client.list_objects(bucket, recursive=True)]
        assert not list(client.remove_objects(bucket, objects))
        client.remove_bucket(bucket)
