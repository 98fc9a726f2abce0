"""Run a study on a cluster: a PyTorchJob per member, then a Job that predicts, evaluates and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consort.cluster.jobs import run_job
from consort.cluster.member_jobs import MemberJobs
from consort.errors import MissingKey
from consort.events import Listener, Outcome
from consort.kube.images import Images
from consort.kube.pytorch_job import member_job
from consort.kube.step_jobs import answer_job
from consort.run.plan import Plan
from consort.run.state import import_members, nothing_finished, read_summary, to_train, unfinished
from consort.screen.members import Progress
from consort.store import Store, keys

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi


@dataclass(frozen=True)
class ClusterRun:
    """A planned study and how to execute it on a cluster."""

    api: "KubernetesApi"
    store: Store
    plan: Plan
    images: Images
    console: Console
    owner: Mapping[str, Any] | None = None
    at_a_time: int | None = None

    def execute(self, only: str | None = None) -> tuple[dict, dict[str, str]]:
        """All stages, or one; returns the summary (empty after `only="members"`) and why each missing member is."""
        failed = self.train_members().failed if only in (None, "members") else {}
        summary = self.answer(failed) if only != "members" else {}
        return summary, unfinished(self.store, self.plan, failed)

    def train_members(self) -> Outcome:
        """Import and train what is missing, adopting what runs."""
        import_members(self.store, self.plan)
        todo = [s.id for s in to_train(self.store, self.plan)]
        if not todo:
            return Outcome()
        at_a_time = self.at_a_time or self.plan.study.cluster.members_at_a_time
        self.console.print(f"training {len(todo)} of {len(self.plan.specs)} members in namespace {self.api.namespace}, "
                           f"{min(at_a_time, len(todo))} at a time", highlight=False, soft_wrap=True)
        with Progress(self.console, todo, len(self.plan.specs) - len(todo)) as progress:
            return self.member_jobs(progress.listen, at_a_time).run(todo)

    def follow(self) -> Outcome:
        """Follow the members that have a job, to their ends; creates nothing."""
        running = list(unfinished(self.store, self.plan, {}))
        if not running:
            return Outcome()
        with Progress(self.console, running, len(self.plan.specs) - len(running)) as progress:
            return self.member_jobs(progress.listen, len(running)).run(running, create=False)

    def member_jobs(self, listen: Listener, at_a_time: int) -> MemberJobs:
        return MemberJobs(self.api, self.store, self.member_job, listen, at_a_time,
                          self.plan.study.cluster.deadline_seconds, self.owner)

    def member_job(self, member: str) -> dict:
        """The PyTorchJob that trains one member of this study."""
        return member_job(member, self.store.uri, self.plan.study, self.plan.run, self.images)

    def answer(self, failed: Mapping[str, str]) -> dict:
        """Predict, evaluate and report in the cluster, unless the store has it all; the summary."""
        missing = unfinished(self.store, self.plan, failed)
        if len(missing) == len(self.plan.specs):
            raise nothing_finished(missing)
        if (summary := self.answered(missing)) is not None:
            return summary
        self.console.print("evaluating in the cluster", highlight=False)
        run_job(self.api, answer_job(self.store.uri, self.plan.study, self.plan.run, self.images), self.owner,
                lambda text: self.console.print(text, highlight=False, soft_wrap=True))
        return read_summary(self.store, self.plan)

    def answered(self, missing: Mapping[str, str]) -> dict | None:
        """The stored summary, where it and its report are about just the members that are there now."""
        try:
            summary = read_summary(self.store, self.plan)
        except MissingKey:
            return None
        finished = {s.id for s in self.plan.specs} - missing.keys()
        reported = self.store.exists(keys.study_file(self.plan.study.name, self.plan.run, "report.html"))
        same = {m["id"] for m in summary["members"]} == finished and summary["missing"].keys() == missing.keys()
        return summary if reported and same else None
