"""Who owns what a launcher creates: the Job or Workflow whose pod the launcher runs in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

ENDED_WORKFLOW_PHASES = ("Succeeded", "Failed", "Error")


def owner_of_pod(api: "KubernetesApi", pod_name: str | None) -> dict[str, Any] | None:
    """An owner reference to the controller of the pod that this process runs in; None outside of a cluster.

    A KFP task's pod is controlled by Argo's Workflow, a Job's pod by the Job: when that is deleted, Kubernetes deletes
    what refers to it.
    """
    pod = api.own_pod(pod_name) if pod_name else None
    references = (pod or {}).get("metadata", {}).get("ownerReferences", [])
    controller = next((r for r in references if r.get("controller")), None)
    if controller is None:
        return None
    return {"apiVersion": controller["apiVersion"], "kind": controller["kind"], "name": controller["name"],
            "uid": controller["uid"], "controller": False, "blockOwnerDeletion": False}


def share(api: "KubernetesApi", kind: str, job: Mapping[str, Any], owner: Mapping[str, Any] | None) -> None:
    """Let an adopted job live as long as any of its owners, of which `owner` is one; one without owners stays free."""
    references = job["metadata"].get("ownerReferences", [])
    if owner and references and all(r["uid"] != owner["uid"] for r in references):
        api.patch(kind, job["metadata"]["name"], {"metadata": {"ownerReferences": [*references, dict(owner)]}})


def has_ended(kind: str, owner: Mapping[str, Any] | None, uid: str) -> bool:
    """Whether this owner, as the cluster knows it now, will never again look after what it created."""
    if owner is None or owner["metadata"]["uid"] != uid:
        return True
    if kind == "Workflow":
        return owner.get("status", {}).get("phase") in ENDED_WORKFLOW_PHASES
    conditions = owner.get("status", {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)
