"""How Katib's Experiments and Trials are, read from the objects that the API server gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TrialEnd = Literal["running", "succeeded", "failed"]

# Katib adds a condition for every change; of those that are true the last one of these decides.
_TRIAL_ENDS: dict[str, TrialEnd] = {"Succeeded": "succeeded", "EarlyStopped": "succeeded", "Failed": "failed",
                                    "Killed": "failed", "MetricsUnavailable": "failed"}


@dataclass(frozen=True)
class KatibTrial:
    name: str
    experiment: str
    end: TrialEnd
    assignments: dict[str, str]
    ended_at: str
    """RFC 3339; empty while it runs."""
    reason: str
    """Why it failed, as far as Katib knows."""


@dataclass(frozen=True)
class ExperimentStatus:
    end: TrialEnd
    reason: str
    message: str


def katib_trial(trial: Mapping[str, Any]) -> KatibTrial:
    """The state of a Trial, and the choices that it tries."""
    status, spec = trial.get("status") or {}, trial["spec"]
    decisive = next((c for c in reversed(_true(status)) if c["type"] in _TRIAL_ENDS), None)
    end: TrialEnd = _TRIAL_ENDS[decisive["type"]] if decisive else "running"
    said = f"{decisive['type']}: {decisive.get('message', '')}".rstrip(": ") if decisive else ""
    ended_at = status.get("completionTime") or (decisive or {}).get("lastTransitionTime") or ""
    return KatibTrial(trial["metadata"]["name"], _owner(trial), end,
                      {a["name"]: a["value"] for a in spec.get("parameterAssignments") or []},
                      ended_at if decisive else "", said if end == "failed" else "")


def experiment_status(experiment: Mapping[str, Any]) -> ExperimentStatus:
    """Whether an Experiment runs, has had all its trials, or has failed."""
    for condition in reversed(_true(experiment.get("status") or {})):
        if condition["type"] in ("Succeeded", "Failed"):
            end: TrialEnd = "succeeded" if condition["type"] == "Succeeded" else "failed"
            return ExperimentStatus(end, condition.get("reason", ""), condition.get("message", ""))
    return ExperimentStatus("running", "", "")


def suggestion_failure(suggestion: Mapping[str, Any] | None) -> str:
    """Why no trials are suggested, where that is so: Katib says it here and nowhere else."""
    conditions = ((suggestion or {}).get("status") or {}).get("conditions") or []
    for condition in reversed(conditions):
        failed = condition["type"] == "Failed" and condition["status"] == "True"
        not_ready = condition["type"] == "DeploymentReady" and condition["status"] == "False"
        if failed or not_ready:
            return str(condition.get("message", ""))
    return ""


def _true(status: Mapping[str, Any]) -> list[dict]:
    return [c for c in status.get("conditions") or [] if c.get("status") == "True"]


def _owner(trial: Mapping[str, Any]) -> str:
    labels = trial["metadata"].get("labels") or {}
    return str(labels.get("katib.kubeflow.org/experiment", ""))
