"""The kinds of jobs that train: all that Consort has to know of each, and the one place that lists them.

A second kind is a module beside `pytorch_job` and an entry of KINDS.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from consort.kube.pytorch_job import PyTorchJob
from consort.kube.status import JobStatus
from consort.study.execution import Cluster


class TrainingJob(Protocol):
    """A kind of job whose pods train one member together, one of which leads: it writes the member and its log."""

    kind: str
    api_version: str
    plural: str
    """As the API server's paths have it."""
    brought_by: str
    """What to install where the server does not know the kind."""
    container: str
    """Name of the container that trains."""
    trial_template: Mapping[str, Any]
    """What Katib's trialTemplate says of this kind: its container, its leading pod, and how its end is read."""

    def build(self, metadata: Mapping[str, Any], cluster: Cluster, labels: Mapping[str, str],
              step: Mapping[str, Any]) -> dict[str, Any]:
        """A job with as many pods as [cluster] says, all of which have these labels and run this container."""

    def status(self, job: Mapping[str, Any]) -> JobStatus:
        """How a job is, from its object."""

    def pods_of(self, name: str) -> str:
        """The label selector of a job's pods."""

    def led_by(self, pod: Mapping[str, Any]) -> str | None:
        """The name of the job that this pod leads; None of every other pod."""

    def containers(self, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All containers of a job's pods."""

    def not_one_process(self, job: Mapping[str, Any]) -> Iterator[str]:
        """Why this job is not one process of one pod, as a trial is; nothing where it is."""


KINDS: dict[str, TrainingJob] = {job.kind: job for job in (PyTorchJob(),)}
MEMBER_JOB = KINDS["PyTorchJob"]
"""The kind of members' jobs and of trials."""
