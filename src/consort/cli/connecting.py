"""From options and the environment to a cluster: what the commands that use one have in common."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from consort.cluster.api import KubernetesApi
    from consort.cluster.target import ClusterRun
    from consort.kube.images import Images
    from consort.run.plan import Plan
    from consort.store import Store
    from consort.study.file import Study

NamespaceOption = Annotated[str | None, typer.Option(
    "--namespace", "-n", envvar="CONSORT_NAMESPACE", show_default=False,
    help="Namespace of the jobs; by default the kubeconfig's, or the pod's own.")]
ContextOption = Annotated[str | None, typer.Option(
    "--context", help="Context of the kubeconfig.", show_default=False)]


QUICK_SECONDS = 20.0
"""How long a command that a person waits for asks a cluster that is silent; one that runs a study has longer."""


def connect(namespace: str | None, context: str | None) -> "KubernetesApi":
    """The cluster that the kubeconfig names, or the one that this process runs in."""
    from consort.cluster.api import KubernetesApi

    return KubernetesApi(namespace, context, deadline_seconds=QUICK_SECONDS)


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

    return Images.of(study.cluster, os.environ.get("CONSORT_IMAGE"), os.environ.get("CONSORT_TORCH_IMAGE"))


def cluster_run(api: "KubernetesApi", store: "Store", plan: "Plan", console: "Console",
                at_a_time: int | None = None) -> "ClusterRun":
    """The run of a plan; in a pod, what it creates belongs to the Job or Workflow of that pod."""
    from consort.cluster.target import ClusterRun

    return ClusterRun(api, store, plan, images_of(plan.study), console, owner_here(api), at_a_time)


def owner_here(api: "KubernetesApi") -> dict[str, Any] | None:
    """An owner reference to the Job or Workflow whose pod this is; None outside of a cluster."""
    from consort.cluster.owner import owner_of_pod

    return owner_of_pod(api, os.environ.get("POD_NAME") or os.environ.get("HOSTNAME"))
