"""Names, labels and annotations of everything that Consort creates in a namespace. The manifests use the same."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from consort.documents import canonical_json, sha256

CONFIG_MAP = "consort"
"""CONSORT_STORE, AWS_ENDPOINT_URL, AWS_REGION, CONSORT_IMAGE, CONSORT_TORCH_IMAGE."""
STORE_SECRET = "consort-store"
"""AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY."""
MEMBER_ACCOUNT = "consort-member"
"""Service account of pods that need nothing of the cluster: it has no rights, and they get no token."""
LAUNCHER_ACCOUNT = "consort-launcher"
"""Service account of pods that start and follow jobs."""

NAME_LABEL = "app.kubernetes.io/name"
NAME = "consort"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "consort"
COMPONENT_LABEL = "app.kubernetes.io/component"
MEMBER, ANSWER, LAUNCHER = "member", "answer", "launcher"
SEARCH, TRIAL = "search", "trial"
"""Components of a search: SEARCH is on its Experiments, TRIAL on the jobs and pods of their trials."""
STUDY_LABEL = "consort.dev/study"
RUN_LABEL = "consort.dev/run"
MEMBER_LABEL = "consort.dev/member"
IN_PACK = "member.consort.dev/"
"""Begins the key of a label for each member of a pack's job: a label's value has no room for several."""
ARM_LABEL = "consort.dev/arm"
"""<kind>-<sampler>, on Experiments; `second` on the jobs of second trainings."""
SECOND = "second"
SPEC_HASH_LABEL = "consort.dev/spec-hash"
SPEC_HASH_DIGITS = 10
STORE_ANNOTATION = "consort.dev/store"
NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""A mesh's sidecar would outlive the step, and the job would never end."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
"""On the Trials of an Experiment."""
EDITABLE = ("parallelTrialCount", "maxFailedTrialCount")
"""What of an Experiment's spec Consort changes while it runs."""
JOB_LABEL = "batch.kubernetes.io/job-name"
"""On the pods of a Job."""


def member_job_name(member_id: str) -> str:
    """Name of a member's job: the Training Operator wants a letter first (DNS-1035)."""
    return member_id if member_id[0].isalpha() else f"m-{member_id}"


def members_job_name(members: Iterable[str]) -> str:
    """Name of the job that trains these members: of one its own, of a pack `<architecture>-x<number>-<hash>`, which no
    member's id is like. The same members have the same job, whoever asks for it."""
    pack = sorted(members)
    if len(pack) == 1:
        return member_job_name(pack[0])
    architecture = pack[0].rsplit("-", 2)[0]
    return member_job_name(f"{architecture}-x{len(pack)}-{sha256(' '.join(pack).encode())[:SPEC_HASH_DIGITS]}")


def member_labels(members: Iterable[str]) -> dict[str, str]:
    """What the labels of a job and its pods say of its members."""
    pack = sorted(members)
    return {MEMBER_LABEL: pack[0]} if len(pack) == 1 else {f"{IN_PACK}{member}": "" for member in pack}


def members_of(obj: Mapping[str, Any]) -> list[str]:
    """The members of a job, or of a job's pod."""
    labels = obj["metadata"].get("labels") or {}
    return [labels[MEMBER_LABEL]] if MEMBER_LABEL in labels else sorted(
        key.removeprefix(IN_PACK) for key in labels if key.startswith(IN_PACK))


def answer_job_name(study: str, run: str) -> str:
    return f"{study}-{run}-answer"


def latency_job_name(study: str, run: str) -> str:
    return f"{study}-{run}-latency"


def export_job_name(study: str, run: str) -> str:
    return f"{study}-{run}-export"


def launch_job_name(study: str, run: str) -> str:
    return f"{study}-{run}-launch"


def labels(component: str, study: str, run: str) -> dict[str, str]:
    """Labels of an object and of its pods."""
    return {NAME_LABEL: NAME, MANAGED_BY_LABEL: MANAGED_BY, COMPONENT_LABEL: component, STUDY_LABEL: study,
            RUN_LABEL: run}


def spec_hash(manifest: Mapping[str, Any]) -> str:
    """10 hex digits over what an object does: everything but labels and owners, its own and its pods'.

    So the same member has the same hash in every study that asks for it with the same settings.
    """
    return sha256(hashed_text(manifest).encode())[:SPEC_HASH_DIGITS]


def hashed_text(manifest: Mapping[str, Any]) -> str:
    return canonical_json(_without_labels(manifest))


def _without_labels(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_labels(inner) for key, inner in value.items()}
        if isinstance(kept.get("metadata"), dict):
            kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in ("labels", "ownerReferences")}
        return kept
    return [_without_labels(inner) for inner in value] if isinstance(value, list) else value


def with_spec_hash(manifest: dict[str, Any]) -> dict[str, Any]:
    """The object with the label that tells whether two of one name are the same."""
    copied = json.loads(json.dumps(manifest))
    copied["metadata"]["labels"][SPEC_HASH_LABEL] = spec_hash(manifest)
    return copied
