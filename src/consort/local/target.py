"""The target that is this machine: members and trials side by side as processes, the answer in this one."""

from collections.abc import Mapping
from dataclasses import dataclass

from consort import hardware, members
from consort.events import Listener, MembersBegun, MembersEnded, Outcome, Said
from consort.local.commands import member_jobs, places, side_by_side
from consort.local.scheduler import Scheduler
from consort.local.search import LocalSearch
from consort.plurals import counted
from consort.report import write_report
from consort.run.answer import evaluate
from consort.run.run import Run
from consort.run.work import work_of


@dataclass(frozen=True)
class LocalTarget:
    """How runs execute on this machine."""

    listen: Listener
    command: str
    """What the user typed; it stands in the report."""
    workers: int | None = None
    """Processes side by side; by default what the study says, else one per core or GPU."""

    remote = False

    def train(self, run: Run) -> Outcome:
        """Import and train what is missing. A member that failed before would fail again, and is left alone."""
        run.import_members()
        todo = run.to_train()
        if not todo:
            return Outcome()
        slots = places(self.workers, run.study.run, for_members=True)[:len(todo)]
        work = work_of(run, todo, bool(hardware.gpus()))
        jobs = member_jobs(todo, work, run.store.uri, run.study.run, len(slots))
        self.listen(Said(f"training {len(todo)} of {counted(len(run.ids), 'member')}, {side_by_side(slots)}"))
        self.listen(MembersBegun(tuple(m for job in jobs for m in job.members), len(run.ids) - len(todo), work,
                                 tuple(tuple(job.members) for job in jobs)))
        outcome = Scheduler(slots, self.listen,
                            lambda member: members.read_record(run.store, member) is not None).run(jobs)
        self.listen(MembersEnded())
        return outcome

    def answer(self, run: Run, failed: Mapping[str, str], only: str | None) -> dict:
        """Evaluate and report, or one of the two; the summary."""
        summary = {} if only == "report" else evaluate(run, self.command, failed)
        if only != "evaluate":
            write_report(run.store, run.study.name, run.plan.run)
        return summary or run.summary()

    def searching(self, run: Run) -> LocalSearch:
        """The trials of a search."""
        return LocalSearch(run, self.listen, self.workers)
