"""Second trainings of a search's candidates on a cluster: a job each, created or adopted as those of members are.

Nothing samples them, so there is no Experiment; the launcher leads them. A job ends with the trial's record, so that
what one launcher began another adopts, and what has a record is not done again.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from consort.cluster.member_ends import MemberEnds
from consort.cluster.member_jobs import MemberJobs
from consort.cluster.silence import Silence
from consort.errors import IncompleteRun
from consort.events import Done, Event, Listener
from consort.kube import names
from consort.kube.experiment import second_training_job, trials_at_a_time
from consort.kube.images import Images
from consort.run.run import Run
from consort.search import trials
from consort.search.arms import Arm
from consort.search.records import TrialRecord
from consort.search.told import SearchBegun, SearchEnded, TrialRecorded

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi


class TrialEnds(MemberEnds):
    """The same for trials, by their ids: done is what has a record, be it that of a failure."""

    WHY_LOST = ("do pods and launcher use one server, and do trials run on nodes of one kind? Milliseconds of "
                "different machines do not compare; [cluster] node_selector chooses one kind")

    def has_record(self, member: str) -> bool:
        return trials.read(self.store, member) is not None

    def known_failure(self, member: str) -> str | None:
        return None

    def note_setback(self, member: str, reason: str) -> None:
        """Nothing: the same command tries it again."""


class SecondTrainings(MemberJobs):
    """The jobs of trials, each of which trains one."""

    ENDS = TrialEnds

    def selector(self, wanted: Sequence[str]) -> str:
        return (f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY},{names.COMPONENT_LABEL}={names.TRIAL},"
                f"{names.ARM_LABEL}={names.SECOND}")


def bring_second_trainings(api: "KubernetesApi", run: Run, images: Images, listen: Listener, second: Sequence[Arm],
                           owner: Mapping[str, Any] | None) -> None:
    """Train what these arms have without a record. Raises IncompleteRun where a job ended without one."""
    proposals = {p.trial: (arm.kind, p) for arm in second for p in arm.proposals}
    ended: dict[str, TrialRecord] = {}

    def note(trial: str) -> bool:
        if trial not in ended and (record := trials.read(run.store, trial)) is not None:
            ended[trial] = record
        return trial in ended

    def tell(event: Event) -> None:
        listen(TrialRecorded(event.member) if isinstance(event, Done) and note(event.member) else event)

    def build(pack: Sequence[str]) -> dict[str, Any]:
        (trial,) = pack
        kind, proposal = proposals[trial]
        return second_training_job(trial, kind, proposal.networks, run.store.uri, run.study, run.plan.run, images)

    todo = [trial for trial in proposals if not note(trial)]
    listen(SearchBegun(second, trials.search_of(run.plan), ended, second=True))
    with Silence(api, tell, lambda: "the list of jobs and pods") as silence:
        jobs = SecondTrainings(api, run.store, lambda free: [[trial] for trial in free], build, silence.listen,
                               trials_at_a_time(run.study), run.study.cluster.deadline_seconds, owner)
        silence.awaits = jobs.awaited
        failed = jobs.run(todo).failed
    listen(SearchEnded())
    if failed:
        raise IncompleteRun("second trainings of candidates are missing, and winners are named when all have ended:\n"
                            + "\n".join(f"  {trial}: {reason}" for trial, reason in failed.items())
                            + "\nWhat was trained is kept; the same command tries again.")
