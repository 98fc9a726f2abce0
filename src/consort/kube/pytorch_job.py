"""The PyTorchJob of the Kubeflow Training Operator: its pods are a master, which leads, and workers."""

from collections.abc import Iterator, Mapping
from typing import Any

from consort.kube import names, pod
from consort.kube.status import JobStatus, job_status
from consort.study.execution import Cluster

JOB_LABEL = "training.kubeflow.org/job-name"
"""On the pods of a PyTorchJob."""
ROLE_LABEL = "training.kubeflow.org/replica-type"
"""master or worker."""


class PyTorchJob:
    """What Consort knows of this kind; see `training.TrainingJob`."""

    kind = "PyTorchJob"
    api_version = "kubeflow.org/v1"
    plural = "pytorchjobs"
    brought_by = "install the Kubeflow Training Operator"
    container = "pytorch"
    """The operator insists on this name."""
    trial_template: Mapping[str, Any] = {
        "primaryContainerName": container,
        "primaryPodLabels": {"training.kubeflow.org/job-role": "master"},
        "successCondition": 'status.conditions.#(type=="Succeeded")#|#(status=="True")#',
        "failureCondition": 'status.conditions.#(type=="Failed")#|#(status=="True")#'}

    def build(self, metadata: Mapping[str, Any], cluster: Cluster, labels: Mapping[str, str],
              step: Mapping[str, Any]) -> dict[str, Any]:
        from kubeflow import training  # it takes 0.4 to 0.9 s of processor time to import

        template = {"metadata": {"labels": dict(labels), "annotations": names.NO_SIDECAR}, "spec": _pod(cluster, step)}
        replicas = {"Master": 1, "Worker": cluster.nodes - 1}
        job = training.KubeflowOrgV1PyTorchJob(
            api_version=self.api_version,
            kind=self.kind,
            metadata=dict(metadata),
            spec=training.KubeflowOrgV1PyTorchJobSpec(
                nproc_per_node=str(cluster.processes),  # its default "auto" starts a process per processor of the node
                run_policy=training.KubeflowOrgV1RunPolicy(
                    clean_pod_policy="Running",
                    active_deadline_seconds=cluster.deadline_seconds,
                    ttl_seconds_after_finished=cluster.failed_ttl_seconds),
                pytorch_replica_specs={
                    role: training.KubeflowOrgV1ReplicaSpec(replicas=number, restart_policy="ExitCode",
                                                            template=template)
                    for role, number in replicas.items() if number}))
        return dict(training.ApiClient().sanitize_for_serialization(job))

    def status(self, job: Mapping[str, Any]) -> JobStatus:
        return job_status(job)

    def pods_of(self, name: str) -> str:
        return f"{JOB_LABEL}={name}"

    def led_by(self, pod: Mapping[str, Any]) -> str | None:
        labels = pod["metadata"].get("labels", {})
        return labels.get(JOB_LABEL) if labels.get(ROLE_LABEL) == "master" else None

    def containers(self, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [container for replica in _replicas(job).values() for container in
                replica["template"]["spec"]["containers"]]

    def not_one_process(self, job: Mapping[str, Any]) -> Iterator[str]:
        if set(_replicas(job)) != {"Master"}:
            yield f"a trial is one Master without Workers, got {', '.join(_replicas(job)) or 'none'}"
        if job.get("spec", {}).get("nprocPerNode") != "1":
            yield 'nprocPerNode is "1": its default starts a process for every processor of the node'


def _replicas(job: Mapping[str, Any]) -> dict[str, Any]:
    return job.get("spec", {}).get("pytorchReplicaSpecs", {})


def _pod(cluster: Cluster, step: Mapping[str, Any]) -> dict[str, Any]:
    volumes = [volume for volume, _ in pod.storage(cluster)]
    spec = pod.place(pod.pod(cluster, [dict(step)], volumes=volumes), cluster)
    # The operator looks at its own deadline only when something happens to a job; the kubelet makes it happen.
    return {**spec, "activeDeadlineSeconds": cluster.deadline_seconds}
