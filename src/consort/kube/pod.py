"""Pods that Pod Security `restricted` admits: what all of Consort's steps have in common."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from consort.kube import names
from consort.study.execution import Cluster, Volume

USER = 1000
SCRATCH = "/scratch"
CACHE = f"{SCRATCH}/cache"
TMP_SIZE = "1Gi"
GRACE_SECONDS = 60
"""What a step has to save its state after SIGTERM."""

SPOT_NODES: dict[str, tuple[dict[str, str], list[dict[str, str]]]] = {
    # cloud.google.com/kubernetes-engine/docs/concepts/spot-vms; GKE taints such nodes only on request.
    "gke": ({"cloud.google.com/gke-spot": "true"},
            [{"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]),
    # docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html: a label, and no taint.
    "eks": ({"eks.amazonaws.com/capacityType": "SPOT"}, []),
    # learn.microsoft.com/azure/aks/spot-node-pool: a label and a taint of the same name.
    "aks": ({"kubernetes.azure.com/scalesetpriority": "spot"},
            [{"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot",
              "effect": "NoSchedule"}]),
}


def resources(cluster: Cluster, gpus: bool = True) -> dict[str, Any]:
    """What a step may use; requests equal limits, so that members do not slow each other down."""
    amounts = {"cpu": f"{round(cluster.cpus * 1000)}m", "memory": cluster.memory}
    if gpus and cluster.gpus:
        amounts[cluster.gpu_resource] = str(cluster.gpus)
    return {"requests": dict(amounts), "limits": dict(amounts)}


def container(name: str, image: str, args: Sequence[str], amounts: Mapping[str, Any], threads: int = 1,
              env: Sequence[Mapping[str, Any]] = (), mounts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """One step; credentials come from the Secret, never from arguments."""
    values = {"HOME": "/tmp", "CONSORT_CACHE": CACHE, "MPLCONFIGDIR": "/tmp", "OMP_NUM_THREADS": str(threads)}
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["consort"],
        "args": list(args),
        "env": [*({"name": key, "value": value} for key, value in values.items()), *map(dict, env)],
        "envFrom": [{"configMapRef": {"name": names.CONFIG_MAP, "optional": True}},
                    {"secretRef": {"name": names.STORE_SECRET}}],
        "resources": dict(amounts),
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
        # The last lines of a failed step stand in its pod's status, also when its log cannot be had any more.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "scratch", "mountPath": SCRATCH},
                         *map(dict, mounts)],
    }


def threads_of(cluster: Cluster) -> int:
    """Threads of each process, so that all together use the pod's processors."""
    return max(1, math.floor(cluster.cpus / cluster.processes))


def pod(cluster: Cluster, containers: Sequence[dict], init: Sequence[dict] = (),
        volumes: Sequence[Mapping[str, Any]] = (), account: str = names.MEMBER_ACCOUNT) -> dict[str, Any]:
    """A pod spec without placement. Only the launcher's account brings a token."""
    spec: dict[str, Any] = {
        "serviceAccountName": account,
        "automountServiceAccountToken": account == names.LAUNCHER_ACCOUNT,
        # Each member has a Service; with many, their variables would fill every later pod's environment.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": TMP_SIZE}},
                    {"name": "scratch", "emptyDir": {"sizeLimit": cluster.scratch}}, *map(dict, volumes)],
    }
    if init:
        spec["initContainers"] = list(init)
    tolerations = [t.model_dump(exclude_none=True, exclude_defaults=True) for t in cluster.tolerations]
    if tolerations:
        spec["tolerations"] = tolerations
    return spec


def place(spec: dict[str, Any], cluster: Cluster) -> dict[str, Any]:
    """The pod on the nodes that the study chooses, with its priority."""
    selector, tolerations = SPOT_NODES[cluster.spot] if cluster.spot else ({}, [])
    if chosen := {**cluster.node_selector, **selector}:
        spec["nodeSelector"] = chosen
    if tolerations:
        spec["tolerations"] = [*spec.get("tolerations", []), *map(dict, tolerations)]
    if cluster.priority_class:
        spec["priorityClassName"] = cluster.priority_class
    return spec


def storage(cluster: Cluster) -> list[tuple[dict, dict]]:
    """(volume, mount) of all that pods have which read images."""
    return [shared_memory(cluster), *cache(cluster), *data(cluster.data)]


def shared_memory(cluster: Cluster) -> tuple[dict, dict]:
    """(volume, mount) of /dev/shm, through which decoding processes hand over images."""
    return ({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": cluster.shared_memory}},
            {"name": "shm", "mountPath": "/dev/shm"})


def cache(cluster: Cluster) -> list[tuple[dict, dict]]:
    """The claim that keeps prepared data between pods, where the study names one."""
    if not cluster.cache_claim:
        return []
    return [({"name": "cache", "persistentVolumeClaim": {"claimName": cluster.cache_claim}},
             {"name": "cache", "mountPath": CACHE})]


def data(volume: Volume | None) -> list[tuple[dict, dict]]:
    """The volume of images, read-only."""
    if volume is None:
        return []
    return [({"name": "data", "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": True}},
             {"name": "data", "mountPath": volume.path, "readOnly": True})]


def images_arguments(cluster: Cluster) -> list[str]:
    return ["--images", cluster.data.path] if cluster.data else []
