"""Members as a job that trains them; and the container that trains, which trials of searches have too."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from consort.kube import names, pod, training
from consort.kube.images import Images
from consort.study.execution import Cluster, RunSettings
from consort.study.file import Study

PATIENCE_SECONDS = "120"
"""A pod waits so long for a member's lock: that of a pod that was killed frees itself within 30 s."""
# Stand for the members in the template of a run's jobs. Control characters, so that no setting can contain them.
_ID, _JOB = "\x01member\x01", "\x01job\x01"


def member_job(members: Sequence[str], store_uri: str, study: Study, run: str, images: Images) -> dict[str, Any]:
    """The job that trains these members in one pod: most often one, else a pack."""
    pack = sorted(members)
    named = [argument for member in pack for argument in ("--member", member)]
    if len(pack) > 1 and study.run.members_per_gpu:
        named += ["--members-per-gpu", str(study.run.members_per_gpu)]
    text = _template(store_uri, study.name, run, study.cluster.model_dump_json(), study.run.model_dump_json(), images)
    for placeholder, value in ((["--member", _ID], named), ({names.MEMBER_LABEL: _ID}, names.member_labels(pack)),
                               ([_JOB], [names.members_job_name(pack)])):
        text = text.replace(json.dumps(placeholder)[1:-1], json.dumps(value)[1:-1])
    job = json.loads(text)
    job["metadata"]["labels"][names.SPEC_HASH_LABEL] = names.spec_hash(job)
    return job


def without_member(job: Mapping[str, Any], member: str) -> dict[str, Any] | None:
    """The job of a pack's other members, from the pack's own as the server has it; None where it has no others.

    It has no hash: the server has filled in what nobody asked for.
    """
    rest = [other for other in names.members_of(job) if other != member]
    if not rest:
        return None
    kept = {key: value for key, value in job["metadata"].items() if key in ("annotations", "labels", "ownerReferences")}
    labels = {key: value for key, value in kept["labels"].items() if key != names.SPEC_HASH_LABEL}
    new = {"apiVersion": job["apiVersion"], "kind": job["kind"], "spec": job["spec"],
           "metadata": {**kept, "labels": labels, "name": names.members_job_name(rest)}}
    return dict(_of_others(new, member, names.member_labels(rest)))


def _of_others(value: Any, member: str, labels: Mapping[str, str]) -> Any:
    """A copy in which no arguments of a container name the member, and labels of members are these."""
    if isinstance(value, list):
        if member in value:
            at = value.index(member)
            value = value[:at - 1] + value[at + 1:]
        return [_of_others(inner, member, labels) for inner in value]
    if not isinstance(value, dict):
        return value
    if f"{names.IN_PACK}{member}" in value:
        return {**{key: inner for key, inner in value.items() if not key.startswith(names.IN_PACK)}, **labels}
    return {key: _of_others(inner, member, labels) for key, inner in value.items()}


@lru_cache(maxsize=8)
def _template(store_uri: str, study: str, run: str, cluster: str, settings: str, images: Images) -> str:
    """The JSON of a run's jobs, with placeholders for the members, in which alone they differ: a study may have
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
