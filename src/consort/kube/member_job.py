"""A member as a job that trains it; and the container that trains, which trials of searches have too."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from consort.kube import names, pod, training
from consort.kube.images import Images
from consort.study.execution import Cluster, RunSettings
from consort.study.file import Study

PATIENCE_SECONDS = "120"
"""A pod waits so long for a member's lock: that of a pod that was killed frees itself within 30 s."""
# Stand for a member in the template of a run's jobs. Control characters, so that no setting can contain them.
_ID, _JOB = "\x01member\x01", "\x01job\x01"


def member_job(member_id: str, store_uri: str, study: Study, run: str, images: Images) -> dict[str, Any]:
    """The job that trains one member."""
    text = _template(store_uri, study.name, run, study.cluster.model_dump_json(), study.run.model_dump_json(), images)
    for token, value in ((_ID, member_id), (_JOB, names.member_job_name(member_id))):
        text = text.replace(json.dumps(token)[1:-1], value)
    job = json.loads(text)
    job["metadata"]["labels"][names.SPEC_HASH_LABEL] = names.spec_hash(job)
    return job


@lru_cache(maxsize=8)
def _template(store_uri: str, study: str, run: str, cluster: str, settings: str, images: Images) -> str:
    """The JSON of a run's jobs, with placeholders for the member, in which alone they differ: a study may have
    thousands, and to build each with the operator's models takes three times as long."""
    chosen, how = Cluster.model_validate_json(cluster), RunSettings.model_validate_json(settings)
    labels = {**names.labels(names.MEMBER, study, run), names.MEMBER_LABEL: _ID}
    step = step_container(chosen, images, _train_arguments(store_uri, chosen, how))
    queue = {names.QUEUE_LABEL: chosen.queue} if chosen.queue else {}
    metadata = {"name": _JOB, "labels": {**labels, **queue}, "annotations": {names.STORE_ANNOTATION: store_uri}}
    return json.dumps(training.MEMBER_JOB.build(metadata, chosen, labels, step))


def step_container(cluster: Cluster, images: Images, arguments: Sequence[str]) -> dict[str, Any]:
    """The container that trains: `consort` with these arguments."""
    return pod.container(training.MEMBER_JOB.container, images.torch, arguments, pod.resources(cluster),
                         pod.threads_of(cluster), mounts=[mount for _, mount in pod.storage(cluster)])


def _train_arguments(store_uri: str, cluster: Cluster, run: RunSettings) -> list[str]:
    return ["train", "--member", _ID, "--store", store_uri, "--log", "json", *checkpoint_arguments(run),
            "--patience", PATIENCE_SECONDS, *pod.images_arguments(cluster),
            *(["--torchrun"] if cluster.nodes * cluster.processes > 1 else [])]


def checkpoint_arguments(run: RunSettings) -> list[str]:
    """What every step that trains is told: how often to save, how many processes read images, and how exact to be."""
    return ["--checkpoint-seconds", str(run.checkpoint_seconds),
            *(["--checkpoint-steps", str(run.checkpoint_steps)] if run.checkpoint_steps else []),
            "--loader-workers", str(run.loader_workers),
            *(["--deterministic"] if run.deterministic else []), *(["--compile"] if run.compile else [])]
