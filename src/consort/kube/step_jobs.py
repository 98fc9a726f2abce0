"""The other jobs of a run: its last steps, and launching it from within the cluster, once or on a schedule."""

from collections.abc import Sequence
from typing import Any

from consort.kube import names, pod
from consort.kube.images import Images
from consort.study.file import Study

RETRIES = 6
"""With the pauses of a Job's back-off, about 10 minutes."""
FINAL_EXIT_CODES = [1, 2, 3, 4, 5, 6, 126, 127]
"""After these a retry ends the same way: Consort's own below 128, and those of a program that cannot be started."""
HISTORY = 3
"""Ended jobs of each kind that a CronJob keeps, for their logs."""
LATE_SECONDS = 3600
"""A tick that could not start on time still starts within this."""
LAUNCHER_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def answer_job(store_uri: str, study: Study, run: str, images: Images) -> dict[str, Any]:
    """One Job for the last steps: predict where logits or latencies are missing, then evaluate, then report.

    Evaluating uses no GPU, but asks for those that predicting had, which costs nothing one after the other: what was
    measured there is of the same hardware only where both see it.
    """
    cluster, name = study.cluster, f"{study.name}/{run}"
    storage = pod.storage(cluster)
    mounts = [mount for _, mount in storage]
    where = ["--store", store_uri]
    predict = ["predict", name, *where, "--log", "json", "--loader-workers", str(study.run.loader_workers),
               *pod.images_arguments(cluster)]
    threads = max(1, int(cluster.cpus))
    spec = pod.pod(
        cluster,
        [pod.container("report", images.plain, ["report", name, *where],
                       pod.resources(cluster, gpus=False), threads, mounts=mounts)],
        [pod.container("predict", images.torch, predict, pod.resources(cluster), threads, mounts=mounts),
         pod.container("evaluate", images.plain, ["evaluate", name, *where], pod.resources(cluster), threads,
                       mounts=mounts)],
        [volume for volume, _ in storage])
    return _placed(names.answer_job_name(study.name, run), store_uri, study, run, spec)


def latency_table_job(store_uri: str, study: Study, run: str, images: Images) -> dict[str, Any]:
    """A Job that measures the blocks of the study's search space on the nodes where its trials will run."""
    cluster, name = study.cluster, f"{study.name}/{run}"
    storage = pod.storage(cluster)
    step = pod.container("latency", images.torch, ["latency-table", name, "--store", store_uri], pod.resources(cluster),
                         max(1, int(cluster.cpus)), mounts=[mount for _, mount in storage])
    spec = pod.pod(cluster, [step], volumes=[volume for volume, _ in storage])
    return _placed(names.latency_job_name(study.name, run), store_uri, study, run, spec)


def export_job(store_uri: str, study: Study, run: str, images: Images, what: Sequence[str] = ()) -> dict[str, Any]:
    """A Job that exports a bundle into the store, measured where members are trained.

    what: the arguments of `consort export` after the run, such as a candidate's id.
    """
    cluster = study.cluster
    storage = pod.storage(cluster)
    arguments = ["export", f"{study.name}/{run}", *what, "--store", store_uri, "--output", f"{pod.SCRATCH}/bundle",
                 *pod.images_arguments(cluster)]
    step = pod.container("export", images.torch, arguments, pod.resources(cluster, gpus=False),
                         max(1, int(cluster.cpus)), mounts=[mount for _, mount in storage])
    spec = pod.pod(cluster, [step], volumes=[volume for volume, _ in storage])
    return _placed(names.export_job_name(study.name, run), store_uri, study, run, spec)


def launch_job(store_uri: str, study: Study, run: str, images: Images, sampler: str | None = None) -> dict[str, Any]:
    """A Job that runs or searches a study from within the cluster: it starts what trains, follows it, and reports.

    sampler: katib-<algorithm>, in place of a search's own.
    """
    command = "run" if study.search is None else "search"
    arguments = [command, f"{study.name}/{run}", "--target", "cluster", "--store", store_uri,
                 *(["--sampler", sampler] if sampler else [])]
    return _job(names.launch_job_name(study.name, run), names.LAUNCHER, store_uri, study, run,
                _launcher(arguments, study, images))


def cron_job(store_uri: str, study: Study, run: str, images: Images, cron: str) -> dict[str, Any]:
    """A CronJob that runs the study at these times (five fields, UTC), growing it where the study says so."""
    arguments = ["run", f"{study.name}/{run}", "--target", "cluster", "--grow", "--store", store_uri]
    job = _job(study.name, names.LAUNCHER, store_uri, study, run, _launcher(arguments, study, images))
    return names.with_spec_hash({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": job["metadata"],
        "spec": {
            "schedule": cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": LATE_SECONDS,
            "successfulJobsHistoryLimit": HISTORY,
            "failedJobsHistoryLimit": HISTORY,
            "jobTemplate": {"metadata": {"labels": names.labels(names.LAUNCHER, study.name, run)},
                            "spec": {k: v for k, v in job["spec"].items() if k != "ttlSecondsAfterFinished"}},
        }})


def _launcher(arguments: Sequence[str], study: Study, images: Images) -> dict[str, Any]:
    """Runs anywhere: it needs neither the members' nodes nor their queue, which would wait for it while it waits."""
    env: list[dict[str, Any]] = [
        {"name": "CONSORT_IMAGE", "value": images.plain},
        {"name": "CONSORT_TORCH_IMAGE", "value": images.torch},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    step = pod.container("launch", images.plain, arguments, LAUNCHER_RESOURCES, env=env)
    return pod.pod(study.cluster, [step], account=names.LAUNCHER_ACCOUNT)


def _placed(name: str, store_uri: str, study: Study, run: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Job that runs where members do: on their nodes, in their queue, within their deadline."""
    cluster = study.cluster
    job = _job(name, names.ANSWER, store_uri, study, run, pod.place(spec, cluster))
    job["spec"]["activeDeadlineSeconds"] = cluster.deadline_seconds
    if cluster.queue:
        job["metadata"]["labels"][names.QUEUE_LABEL] = cluster.queue
    return job


def _job(name: str, component: str, store_uri: str, study: Study, run: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = names.labels(component, study.name, run)
    return names.with_spec_hash({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": {names.STORE_ANNOTATION: store_uri}},
        "spec": {
            "backoffLimit": RETRIES,
            "podFailurePolicy": {"rules": [
                # A node that was drained or taken back says nothing about the step.
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": FINAL_EXIT_CODES}},
            ]},
            "ttlSecondsAfterFinished": study.cluster.failed_ttl_seconds,
            "template": {"metadata": {"labels": labels, "annotations": names.NO_SIDECAR},
                         "spec": {**spec, "restartPolicy": "Never"}},
        }})
