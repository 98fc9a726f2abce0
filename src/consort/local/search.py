"""Search on this machine: trials side by side as processes, fed as places become free."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from consort.errors import IncompleteRun
from consort.events import Done, Event, Failed, Listener
from consort.local.commands import places, trial_command
from consort.local.scheduler import Job, Scheduler
from consort.plurals import counted
from consort.run.run import Run
from consort.search import arms, trials
from consort.search.arms import Arm, Proposal
from consort.search.latencies import hardware_of, measure_against_target, measure_latencies
from consort.search.records import TrialRecord
from consort.search.told import SearchBegun, SearchEnded, TrialRecorded
from consort.study.search import Search


@dataclass
class LocalSearch:
    """The trials of a search, on this machine."""

    run: Run
    listen: Listener
    workers: int | None = None
    arms: list[Arm] = field(default_factory=list)
    ended: dict[str, TrialRecord] = field(default_factory=dict)
    """Trial -> its record, of those that an arm proposed."""
    second: list[Arm] = field(default_factory=list)
    """Of second trainings."""
    started: dict[str, Proposal] = field(default_factory=dict)
    """Trial -> the first proposal of it, of those that this process started."""

    @cached_property
    def search(self) -> Search:
        return trials.search_of(self.run.plan)

    @cached_property
    def hardware_id(self) -> str:
        return hardware_of(self.run.study)

    def try_all(self) -> None:
        """All trials of all arms. Raises IncompleteRun when `max_failures` of them failed, and KeyboardInterrupt where
        it was interrupted: the trials in training have saved their state then, and the next run goes on."""
        measure_against_target(self.run)
        self.arms = arms.open_arms(self.run, self.all_arms(), self.hardware_id)
        for proposal in (p for arm in self.arms for p in arm.proposals):
            self._note(proposal.trial)
        self.listen(SearchBegun(self.arms, self.search, self.ended))
        self._scheduler().run((), self._more)
        self.listen(SearchEnded())
        self._refuse_failures()

    def retrain(self, second: Sequence[Arm]) -> None:
        """Second trainings, those that have no record. Raises KeyboardInterrupt as `try_all` does."""
        self.second = list(second)
        todo = {p.trial: (arm, p) for arm in second for p in arm.proposals if not self._note(p.trial)}
        self.listen(SearchBegun(self.second, self.search, self.ended, second=True))
        self._scheduler().run([self._job(arm, proposal) for arm, proposal in todo.values()])
        self.listen(SearchEnded())

    def all_arms(self) -> list[Arm]:
        """Every arm, without what it has tried."""
        return arms.arms_of(self.search)

    def _scheduler(self) -> Scheduler:
        return Scheduler(places(self.workers or self.search.parallel, self.run.study.run), self._take, self._note)

    def _job(self, arm: Arm, proposal: Proposal) -> Job:
        # Latencies that are measured are measured here: one at a time, and before the trial's own training.
        measure_latencies(self.run, proposal.networks)
        command = trial_command(self.run.ref, arm.kind, proposal, self.run.store.uri, self.run.study.run)
        return Job([proposal.trial], lambda _: command)

    def _more(self, free: int) -> Sequence[Job]:
        """Up to `free` further trials that are not in the store: interrupted ones first, then new ones."""
        jobs: list[Job] = []
        while len(jobs) < free and len(self.failures) < self.search.max_failures:
            following = self._next()
            if following is None:
                break
            arm, proposal = following
            if self._note(proposal.trial):
                self.listen(TrialRecorded(proposal.trial, arm))
                continue
            if proposal.trial in self.started:
                continue  # another arm's trial, and in training
            self.started[proposal.trial] = proposal
            jobs.append(self._job(arm, proposal))
        return jobs

    def _next(self) -> tuple[Arm, Proposal] | None:
        for arm in self.arms:
            for proposal in arm.proposals:
                if proposal.trial not in self.ended and proposal.trial not in self.started:
                    return arm, proposal
        arm = min(self.arms, key=lambda arm: len(arm.proposals))  # in turn, so that arms can be compared at any time
        proposed = arms.propose_next(self.run, arm, self.ended, self.hardware_id)
        return None if proposed is None else (arm, proposed)

    def _take(self, event: Event) -> None:
        if isinstance(event, Failed) and not self._note(event.subject):
            self._write_failure(event.subject, event.text)
        if isinstance(event, Done | Failed) and self._note(event.subject):
            self.listen(TrialRecorded(event.subject))
        else:
            self.listen(event)

    def _note(self, trial: str) -> bool:
        """Whether the trial has a record."""
        if trial not in self.ended and (record := trials.read(self.run.store, trial)) is not None:
            self.ended[trial] = record
        return trial in self.ended

    def _write_failure(self, trial: str, reason: str) -> None:
        """The record of a trial whose process ended without one, each time that it was tried."""
        arm, proposal = next((arm, p) for arm in (*self.arms, *self.second) for p in arm.proposals if p.trial == trial)
        tried = trials.Candidate(arm.kind, proposal.networks, proposal.second)
        known = measure_latencies(self.run, proposal.networks)
        trials.write(self.run.store, trials.unsuccessful(self.run.plan, tried, known, trials.FAILED, reason))

    @property
    def failures(self) -> dict[str, str]:
        """Trial -> why it failed."""
        return {trial: record.reason or "" for trial, record in self.ended.items() if record.state == trials.FAILED}

    def _refuse_failures(self) -> None:
        if len(self.failures) >= self.search.max_failures:
            raise IncompleteRun(
                f"{counted(len(self.failures), 'trial')} failed, and the search ends at max_failures = "
                f"{self.search.max_failures}; what was trained is kept:\n"
                + "\n".join(f"  {trial}: {reason}" for trial, reason in self.failures.items())
                + "\nRaise [search] max_failures to go on.")
