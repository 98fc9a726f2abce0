"""The target that is this machine: members and trials side by side as processes, the answer in this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consort import members
from consort.events import Listener, MembersBegun, MembersEnded, Outcome, Said
from consort.local.scheduler import Job, Scheduler, places, train_command
from consort.local.search import LocalSearch
from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet
from consort.report import write_report
from consort.run.answer import evaluate
from consort.run.run import Run


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
        jobs = [Job(s.id, train_command(s.id, run.store.uri, run.study.run)) for s in _costliest_first(todo)]
        slots = places(self.workers, run.study.run)[:len(jobs)]
        self.listen(Said(f"training {len(jobs)} of {len(run.ids)} members, {len(slots)} at a time"))
        self.listen(MembersBegun(tuple(j.member for j in jobs), len(run.ids) - len(jobs)))
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


def _costliest_first(specs: Sequence[MemberSpec]) -> list[MemberSpec]:
    """The order that ends soonest: a long training that starts last would run alone."""
    names = {s.architecture for s in specs}
    sizes = {name: wide_resnet(name) for name in names}
    cost = {name: (size[0] - 4) * size[1] ** 2 for name, size in sizes.items() if size is not None}
    if len(names) > 1 and cost.keys() != names:
        from consort.costs.macs import count  # torch takes seconds to import, and wide residual networks do without

        cost = {name: count(name).macs for name in names}
    return sorted(specs, key=lambda s: -cost.get(s.architecture, 0) * s.recipe.epochs)
