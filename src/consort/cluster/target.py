"""The target that is a cluster: a PyTorchJob per member or pack, then a Job that predicts, evaluates and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consort.cluster.jobs import refuse_other_work, run_job
from consort.cluster.member_jobs import MemberJobs
from consort.cluster.search import ClusterSearch
from consort.cluster.silence import Silence
from consort.errors import InputError, MissingKey
from consort.events import Listener, MembersBegun, MembersEnded, Outcome, Said
from consort.kube.images import Images
from consort.kube.member_job import member_job
from consort.kube.step_jobs import answer_job, export_job
from consort.plurals import counted
from consort.run.answer import nothing_finished
from consort.run.packs import doubts, job_packs
from consort.run.run import Run
from consort.run.work import work_of
from consort.study.file import Study

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi


@dataclass(frozen=True)
class ClusterTarget:
    """How runs execute on a cluster."""

    api: "KubernetesApi"
    listen: Listener
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
        most = run.study.cluster.members_per_job
        self.listen(Said(f"training {len(todo)} of {counted(len(run.ids), 'member')} in namespace "
                         f"{self.api.namespace}, {min(max(at_a_time, most), len(todo))} at a time"
                         + (f", up to {most} in a job" if most > 1 else "")
                         + (", one after another" if most > 1 and not run.study.cluster.gpus else "")))
        for text in doubts(run.study):
            self.listen(Said(f"warning: {text}", warns=True))
        return self._bring(run, todo, len(run.ids) - len(todo), at_a_time)

    def follow(self, run: Run) -> Outcome:
        """Follow the members that have a job, to their ends; creates nothing."""
        running = list(run.unfinished())
        if not running:
            return Outcome()
        return self._bring(run, running, len(run.ids) - len(running), len(running), create=False)

    def launch(self, run: Run, wanted: Sequence[str]) -> Outcome:
        """Train these members of a run, whatever the others do, or adopt their jobs."""
        return self._bring(run, wanted, 0, len(wanted))

    def _bring(self, run: Run, wanted: Sequence[str], done: int, at_a_time: int, create: bool = True) -> Outcome:
        """Bring members of a run to their ends; `done` are there already."""
        images, deadline = self.images(run.study), run.study.cluster.deadline_seconds
        self.listen(_begun(run, wanted, done))
        with Silence(self.api, self.listen, lambda: "the list of jobs and pods") as silence:
            jobs = MemberJobs(
                self.api, run.store, lambda free: job_packs(run, free),
                lambda pack: member_job(pack, run.store.uri, run.study, run.plan.run, images),
                silence.listen, at_a_time, deadline, self.owner)
            silence.awaits = jobs.awaited
            outcome = jobs.run(wanted, create)
        self.listen(MembersEnded())
        return outcome

    def answer(self, run: Run, failed: Mapping[str, str], only: str | None) -> dict:
        """Predict, evaluate and report in one Job, unless the store has it all; the summary."""
        missing = run.unfinished(failed)
        if len(missing) == len(run.ids):
            raise nothing_finished(missing)
        if (summary := _answered(run, missing)) is not None:
            return summary
        self.listen(Said("evaluating in the cluster"))
        run_job(self.api, answer_job(run.store.uri, run.study, run.plan.run, self.images(run.study)), self.owner,
                self.listen)
        return run.summary()

    def export(self, run: Run, what: Sequence[str]) -> None:
        """Export a bundle into the store in one Job; what: arguments of `consort export`.

        Raises InputError where the run's Job exports something else now: its bundle would be taken for this one."""
        self.listen(Said(f"exporting in namespace {self.api.namespace}"))
        job = export_job(run.store.uri, run.study, run.plan.run, self.images(run.study), what)
        run_job(self.api, job, self.owner, self.listen, refuse_other_work(job))

    def searching(self, run: Run) -> ClusterSearch:
        """The trials of a search, as Katib leads them."""
        if self.at_a_time is not None and run.study.search is not None:  # how many is no part of a run's name
            search = run.study.search.model_copy(update={"parallel": self.at_a_time})
            run = replace(run, plan=replace(run.plan, study=run.study.model_copy(update={"search": search})))
        return ClusterSearch(self.api, run, self.images(run.study), self.listen, self.owner, self.sampler)

    def images(self, study: Study) -> Images:
        """The images of a study's pods."""
        return Images.of(study.cluster, self.image, self.torch_image)


def _begun(run: Run, wanted: Sequence[str], done: int) -> MembersBegun:
    """What is told before members are brought to their ends: with their work, where it is known here."""
    todo = [spec for spec in run.to_train() if spec.id in {*wanted}]
    packs = tuple(map(tuple, job_packs(run, [spec.id for spec in todo])))
    try:
        work = work_of(run, todo, on_gpu=run.study.cluster.gpus > 0)
    except InputError:  # it has to be counted, and what counts it need not be where jobs are launched
        return MembersBegun(tuple(wanted), done)
    return MembersBegun(tuple(wanted), done, work, packs=packs)


def _answered(run: Run, missing: Mapping[str, str]) -> dict | None:
    """The stored summary, where it and its report are about just the members that are there now."""
    try:
        summary = run.summary()
    except MissingKey:
        return None
    finished = set(run.ids) - missing.keys()
    same = {m["id"] for m in summary["members"]} == finished and summary["missing"].keys() == missing.keys()
    return summary if same and run.has("report.html") else None
