"""The target that is a cluster: a PyTorchJob per member, then a Job that predicts, evaluates and reports."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consort.cluster.jobs import run_job
from consort.cluster.member_jobs import MemberJobs
from consort.cluster.search import ClusterSearch
from consort.errors import MissingKey
from consort.events import Listener, Outcome
from consort.kube.images import Images
from consort.kube.member_job import member_job
from consort.kube.step_jobs import answer_job
from consort.run.answer import nothing_finished
from consort.run.run import Run
from consort.screen.members import Progress
from consort.study.file import Study

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi


@dataclass(frozen=True)
class ClusterTarget:
    """How runs execute on a cluster."""

    api: "KubernetesApi"
    console: Console
    image: str | None = None
    """Of pods, where the study names none; by default the published ones of this version."""
    torch_image: str | None = None
    owner: Mapping[str, Any] | None = None
    """Reference to what the jobs shall not outlive."""
    at_a_time: int | None = None
    """Members or trials side by side; by default what the study says."""
    sampler: str | None = None
    """katib-<algorithm>, one of Katib's own, in place of a study's."""

    remote = True

    def train(self, run: Run) -> Outcome:
        """Import and train what is missing, adopting what runs."""
        run.import_members()
        todo = [s.id for s in run.to_train()]
        if not todo:
            return Outcome()
        at_a_time = self.at_a_time or run.study.cluster.members_at_a_time
        self.say(f"training {len(todo)} of {len(run.ids)} members in namespace {self.api.namespace}, "
                 f"{min(at_a_time, len(todo))} at a time")
        with Progress(self.console, todo, len(run.ids) - len(todo)) as progress:
            return self.member_jobs(run, progress.listen, at_a_time).run(todo)

    def follow(self, run: Run) -> Outcome:
        """Follow the members that have a job, to their ends; creates nothing."""
        running = list(run.unfinished())
        if not running:
            return Outcome()
        with Progress(self.console, running, len(run.ids) - len(running)) as progress:
            return self.member_jobs(run, progress.listen, len(running)).run(running, create=False)

    def member_jobs(self, run: Run, listen: Listener, at_a_time: int) -> MemberJobs:
        """Brings members of a run to their ends."""
        images = self.images(run.study)
        return MemberJobs(self.api, run.store, lambda m: member_job(m, run.store.uri, run.study, run.plan.run, images),
                          listen, at_a_time, run.study.cluster.deadline_seconds, self.owner)

    def answer(self, run: Run, failed: Mapping[str, str], only: str | None) -> dict:
        """Predict, evaluate and report in one Job, unless the store has it all; the summary."""
        missing = run.unfinished(failed)
        if len(missing) == len(run.ids):
            raise nothing_finished(missing)
        if (summary := _answered(run, missing)) is not None:
            return summary
        self.say("evaluating in the cluster")
        run_job(self.api, answer_job(run.store.uri, run.study, run.plan.run, self.images(run.study)), self.owner,
                self.say)
        return run.summary()

    def searching(self, run: Run) -> ClusterSearch:
        """The trials of a search, as Katib leads them."""
        if self.at_a_time is not None and run.study.search is not None:  # how many is no part of a run's name
            search = run.study.search.model_copy(update={"parallel": self.at_a_time})
            run = replace(run, plan=replace(run.plan, study=run.study.model_copy(update={"search": search})))
        return ClusterSearch(self.api, run, self.images(run.study), self.console, self.owner, self.sampler)

    def images(self, study: Study) -> Images:
        """The images of a study's pods."""
        return Images.of(study.cluster, self.image, self.torch_image)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _answered(run: Run, missing: Mapping[str, str]) -> dict | None:
    """The stored summary, where it and its report are about just the members that are there now."""
    try:
        summary = run.summary()
    except MissingKey:
        return None
    finished = set(run.ids) - missing.keys()
    same = {m["id"] for m in summary["members"]} == finished and summary["missing"].keys() == missing.keys()
    return summary if same and run.has("report.html") else None
