"""The stages of a search on this machine: trials, the winners' study, the report."""

from pathlib import Path

from rich.console import Console

from consort.local.search import LocalSearch
from consort.local.target import LocalRun
from consort.report import write_search_report
from consort.run.plan import Plan
from consort.run.state import read_summary
from consort.search import arms
from consort.search.latencies import hardware_of
from consort.search.results import read_results, write_results
from consort.search.trials import search_of
from consort.search.winners import final_plan, winners
from consort.search.winners_compared import compared
from consort.store import Store


def run_search(store: Store, plan: Plan, console: Console, cache: Path, command: str, workers: int | None = None,
               only: str | None = None) -> dict[str, str]:
    """All stages, or one; why each member of the winners that is missing is.

    search.json and the report are written after the trials, and again when the winners are compared.
    """
    missing: dict[str, str] = {}
    if only in (None, "search"):
        _search(store, plan, console, workers)
    if only in (None, "final"):
        missing = _train_winners(store, plan, console, cache, command, workers)
    if only == "report":
        write_search_report(store, plan.study.name, plan.run)
    return missing


def _search(store: Store, plan: Plan, console: Console, workers: int | None) -> None:
    searching = LocalSearch(store, plan, console, workers)
    try:
        searching.run()
    finally:
        if searching.arms:
            before = read_results(store, plan)
            write_results(store, plan, searching.arms, before and before["final"])
            write_search_report(store, plan.study.name, plan.run)


def _train_winners(store: Store, plan: Plan, console: Console, cache: Path, command: str,
                   workers: int | None) -> dict[str, str]:
    tried = arms.opened(store, plan, hardware_of(plan.study))
    won = winners(store, plan, tried)
    final = final_plan(store, plan, won)
    console.print(f"training the winners again, as the study {final.ref}:", highlight=False)
    for kind, record in won.items():
        console.print(f"  {kind}: {' + '.join(record.networks)}", highlight=False, soft_wrap=True)
    _, missing = LocalRun(store, final, cache, console, command, workers).execute()
    write_results(store, plan, tried, compared(store, search_of(plan), final, won, read_summary(store, final), cache))
    write_search_report(store, plan.study.name, plan.run)
    return missing
