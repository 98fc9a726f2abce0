"""The stages of a search, the same wherever it executes: trials, second trainings, the winners' study, the report.

Second trainings are the end of the stage `search`: who asks for the winners afterwards is told those that are named by
both. search.json and the report are written after the trials, after these, and again when the winners are compared.
"""

from collections.abc import Sequence
from typing import Protocol

from consort.events import Said
from consort.report import write_search_report
from consort.run.run import Run
from consort.run.stages import execute
from consort.run.target import Target
from consort.search.arms import Arm, open_tried
from consort.search.comparison import compared
from consort.search.latencies import on_hardware
from consort.search.results import read_results, write_results
from consort.search.retraining import finalists, second_arms
from consort.search.trials import search_of
from consort.search.winners import plan_final, winners

STAGES = ("search", "final", "report")


class Searching(Protocol):
    """The trials of one search, on their way."""

    arms: list[Arm]
    """What was tried so far; empty before it is known on which hardware, or that the target can be met."""

    @property
    def hardware_id(self) -> str | None:
        """The hardware that its latencies are of; None where only its trials will tell."""

    def try_all(self) -> None:
        """All trials of all arms, those that ended before left as they are. Raises IncompleteRun when too many fail."""

    def retrain(self, second: Sequence[Arm]) -> None:
        """Second trainings, those that ended before left as they are. Raises IncompleteRun where one could not be
        brought to its end."""

    def all_arms(self) -> list[Arm]:
        """Every arm, without what it has tried."""


class SearchTarget(Target, Protocol):
    """What the stages of a search ask of the place where it executes."""

    def searching(self, run: Run) -> Searching:
        """The trials of a search that is planned; nothing has started yet."""


def execute_search(run: Run, target: SearchTarget, only: str | None = None) -> dict[str, str]:
    """All stages, or one; why each member of the winners that is missing is."""
    searching, missing = target.searching(run), {}
    if only in (None, "search"):
        _search(run, searching)
    if only in (None, "search", "final"):
        _retrain(run, searching, target)
    if only in (None, "final"):
        missing = _train_winners(run, searching, target)
    if only == "report":
        write_search_report(run.store, run.study.name, run.plan.run)
    return missing


def _search(run: Run, searching: Searching) -> None:
    try:
        searching.try_all()
    finally:
        if searching.arms and searching.hardware_id is not None:
            there = on_hardware(run, searching.hardware_id)
            before = read_results(there)
            write_results(there, searching.arms, before and before["final"])
            write_search_report(run.store, run.study.name, run.plan.run)


def _retrain(run: Run, searching: Searching, target: SearchTarget) -> None:
    """Train the candidates from which the winners are named a second time, where that was not done before."""
    there, tried = open_tried(run, searching.all_arms(), searching.hardware_id)
    found = finalists(there, tried)
    todo = [one for of_kind in found.values() for one in of_kind if one.second is None]
    if not todo:
        return
    most = max(map(len, found.values()))
    best = "candidate" if most == 1 else f"{most} candidates"
    target.listen(Said(f"training the best {best} of {' and of '.join(found)} a second time, before winners are named"))
    try:
        searching.retrain(second_arms(found))
    finally:
        before = read_results(there)
        write_results(there, tried, before and before["final"])
        write_search_report(run.store, run.study.name, run.plan.run)


def _train_winners(run: Run, searching: Searching, target: SearchTarget) -> dict[str, str]:
    there, tried = open_tried(run, searching.all_arms(), searching.hardware_id)
    won = winners(there, tried)
    final = plan_final(run, won, tried)  # its latencies are measured when it is evaluated
    target.listen(Said("\n".join([f"training the winners again, as the study {final.ref}:",
                                  *(f"  {kind}: {' + '.join(record.networks)}" for kind, record in won.items())])))
    _, missing = execute(final, target)
    write_results(there, tried, compared(search_of(there.plan), final, won))
    write_search_report(run.store, run.study.name, run.plan.run)
    return missing
