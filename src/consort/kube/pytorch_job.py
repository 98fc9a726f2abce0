"""A member as a PyTorchJob of the Kubeflow Training Operator."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from consort.documents import sha256
from consort.kube import names, pod
from consort.kube.images import Images
from consort.study.execution import Cluster, Run
from consort.study.file import Study

CONTAINER = "pytorch"
"""The operator insists on this name."""
PATIENCE_SECONDS = "120"
"""A pod waits so long for a member's lock: that of a pod that was killed frees itself within 30 s."""
# Stand for a member in the template of a run's jobs. Control characters, so that no setting can contain them.
_ID, _JOB = "\x01member\x01", "\x01job\x01"


def member_job(member_id: str, store_uri: str, study: Study, run: str, images: Images,
               owner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The PyTorchJob that trains one member; `owner` is a reference to what it shall not outlive."""
    own = {_ID: member_id, _JOB: names.member_job_name(member_id)}
    text, hashed = (_fill(template, own) for template in _templates(
        store_uri, study.name, run, study.cluster.model_dump_json(), study.run.model_dump_json(), images))
    job = json.loads(text)
    job["metadata"]["labels"][names.SPEC_HASH_LABEL] = sha256(hashed.encode())[:names.SPEC_HASH_DIGITS]
    if owner:
        job["metadata"]["ownerReferences"] = [dict(owner)]
    return job


def _fill(template: str, own: Mapping[str, str]) -> str:
    for token, value in own.items():
        template = template.replace(json.dumps(token)[1:-1], value)
    return template


@lru_cache(maxsize=8)
def _templates(store_uri: str, study: str, run: str, cluster: str, settings: str, images: Images) -> tuple[str, str]:
    """The jobs of a run differ in nothing but the member, and a study may have thousands: their JSON with a placeholder
    for the member, and what of it the spec hash is over."""
    chosen, how = Cluster.model_validate_json(cluster), Run.model_validate_json(settings)
    labels = {**names.labels(names.MEMBER, study, run), names.MEMBER_LABEL: _ID}
    step = step_container(chosen, images, _train_arguments(store_uri, chosen, how))
    queue = {names.QUEUE_LABEL: chosen.queue} if chosen.queue else {}
    metadata = {"name": _JOB, "labels": {**labels, **queue}, "annotations": {names.STORE_ANNOTATION: store_uri}}
    manifest = operator_job(metadata, chosen, labels, step)
    return json.dumps(manifest), names.hashed_text(manifest)


def operator_job(metadata: Mapping[str, Any], cluster: Cluster, labels: Mapping[str, str],
                 step: Mapping[str, Any]) -> dict[str, Any]:
    """A PyTorchJob with as many pods as the study's [cluster] says, all of which run this step."""
    from kubeflow import training  # it takes 0.4 to 0.9 s of processor time to import

    template = {"metadata": {"labels": dict(labels), "annotations": names.NO_SIDECAR}, "spec": _pod(cluster, step)}
    replicas = {"Master": 1, "Worker": cluster.nodes - 1}
    job = training.KubeflowOrgV1PyTorchJob(
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        metadata=dict(metadata),
        spec=training.KubeflowOrgV1PyTorchJobSpec(
            nproc_per_node=str(cluster.processes),  # its default "auto" starts a process per processor of the node
            run_policy=training.KubeflowOrgV1RunPolicy(
                clean_pod_policy="Running",
                active_deadline_seconds=cluster.deadline_seconds,
                ttl_seconds_after_finished=cluster.failed_ttl_seconds),
            pytorch_replica_specs={
                role: training.KubeflowOrgV1ReplicaSpec(replicas=number, restart_policy="ExitCode", template=template)
                for role, number in replicas.items() if number}))
    return dict(training.ApiClient().sanitize_for_serialization(job))


def step_container(cluster: Cluster, images: Images, arguments: Sequence[str]) -> dict[str, Any]:
    """The container that trains: `consort` with these arguments."""
    return pod.container(CONTAINER, images.torch, arguments, pod.resources(cluster), pod.threads_of(cluster),
                         mounts=[mount for _, mount in _storage(cluster)])


def _storage(cluster: Cluster) -> list[tuple[dict, dict]]:
    return [pod.shared_memory(cluster), *pod.cache(cluster), *pod.data(cluster.data)]


def _train_arguments(store_uri: str, cluster: Cluster, run: Run) -> list[str]:
    return ["train", "--member", _ID, "--store", store_uri, "--log", "json", *checkpoint_arguments(run),
            "--patience", PATIENCE_SECONDS, *pod.images_arguments(cluster),
            *(["--torchrun"] if cluster.nodes * cluster.processes > 1 else [])]


def checkpoint_arguments(run: Run) -> list[str]:
    """What every step that trains is told: how often to save, and how many processes read images."""
    return ["--checkpoint-seconds", str(run.checkpoint_seconds),
            *(["--checkpoint-steps", str(run.checkpoint_steps)] if run.checkpoint_steps else []),
            "--loader-workers", str(run.loader_workers)]


def _pod(cluster: Cluster, step: Mapping[str, Any]) -> dict[str, Any]:
    volumes = [volume for volume, _ in _storage(cluster)]
    spec = pod.place(pod.pod(cluster, [dict(step)], volumes=volumes), cluster)
    # The operator looks at its own deadline only when something happens to a job; the kubelet makes it happen.
    return {**spec, "activeDeadlineSeconds": cluster.deadline_seconds}
