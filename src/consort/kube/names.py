"""Names, labels and annotations of everything that Consort creates in a namespace. The manifests use the same."""

import json
from collections.abc import Mapping
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
