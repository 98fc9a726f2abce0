"""From options and the environment to a target: this machine or a cluster."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi
    from consort.cluster.target import ClusterTarget
    from consort.events import Listener
    from consort.kube.images import Images
    from consort.local.target import LocalTarget
    from consort.store import Store
    from consort.study.file import Study

QUICK_SECONDS = 20.0
"""How long a command that a person waits for asks a cluster that is silent; one that runs a study has longer."""


def connect(namespace: str | None, context: str | None) -> "KubernetesApi":
    """The cluster that the kubeconfig names, or the one that this process runs in."""
    from consort.cluster.api import KubernetesApi

    return KubernetesApi(namespace, context, deadline_seconds=QUICK_SECONDS)


def connect_where_named(store: "Store", namespace: str | None, context: str | None) -> "KubernetesApi | None":
    """The cluster whose pods may work on this store, for what a store alone can answer too: None for a store in a
    folder, and where no cluster is named here in any way."""
    if not store.uri.startswith("s3://"):
        return None
    from consort.cluster.api import cluster_is_named

    return connect(namespace, context) if namespace or context or cluster_is_named() else None


def connect_for(store: "Store", namespace: str | None, context: str | None) -> "KubernetesApi":
    """The cluster, for jobs that write to this store; raises InputError for a store that pods cannot reach."""
    from consort.errors import InputError

    if not store.uri.startswith("s3://"):
        raise InputError(f"pods cannot reach the folder {store.uri}: with a cluster, --store is s3://bucket/prefix (or "
                         "CONSORT_STORE), the same as in ConfigMap consort.")
    from consort.cluster.api import KubernetesApi

    return KubernetesApi(namespace, context)


def images_of(study: "Study") -> "Images":
    """The study's images, else those that the environment names, else the published ones of this version."""
    from consort.kube.images import Images

    return Images.of(study.cluster, *_images_here())


def chosen_target(name: str, store: "Store", listen: "Listener", namespace: str | None, context: str | None,
                  workers: int | None, sampler: str | None = None) -> "LocalTarget | ClusterTarget":
    """The target that --target names. sampler: one of Katib's own, which only a cluster has."""
    from consort.errors import InputError, unknown_name

    if name == "cluster":
        return cluster_target(connect_for(store, namespace, context), listen, workers, sampler)
    if name != "local":
        raise unknown_name("target", name, ("local", "cluster"))
    if sampler is not None:
        raise InputError(f"{sampler} is one of Katib's samplers: it needs --target cluster. Without a cluster, leave "
                         "--sampler out or name one of Consort's.")
    from consort.local.target import LocalTarget

    return LocalTarget(listen, "consort " + " ".join(sys.argv[1:]), workers)


def cluster_target(api: "KubernetesApi", listen: "Listener", at_a_time: int | None = None,
                   sampler: str | None = None) -> "ClusterTarget":
    """A cluster where runs execute; in a pod, what they create belongs to the Job or Workflow of that pod."""
    from consort.cluster.target import ClusterTarget

    return ClusterTarget(api, listen, *_images_here(), owner_here(api), at_a_time, sampler)


def _images_here() -> tuple[str | None, str | None]:
    return os.environ.get("CONSORT_IMAGE"), os.environ.get("CONSORT_TORCH_IMAGE")


def owner_here(api: "KubernetesApi") -> dict[str, Any] | None:
    """An owner reference to the Job or Workflow whose pod this is; None outside of a cluster."""
    from consort.cluster.owner import owner_of_pod

    return owner_of_pod(api, os.environ.get("POD_NAME") or os.environ.get("HOSTNAME"))
