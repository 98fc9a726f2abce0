"""The stages of a search on a cluster: trials under Katib, the winners' study as PyTorchJobs, the report."""

from collections.abc import Callable
from pathlib import Path

from consort.cluster.search import ClusterSearch
from consort.cluster.target import ClusterRun
from consort.report import write_search_report
from consort.run.plan import Plan
from consort.run.state import read_summary
from consort.search.ended import ended_search, on_hardware
from consort.search.results import read_results, write_results
from consort.search.trials import search_of
from consort.search.winners import final_plan, winners
from consort.search.winners_compared import compared


def run_search_on_cluster(searching: ClusterSearch, run_of: Callable[[Plan], ClusterRun], cache: Path,
                          only: str | None = None) -> dict[str, str]:
    """All stages, or one; why each member of the winners that is missing is. run_of: how a study is executed there."""
    if only in (None, "search"):
        _search(searching)
    if only == "report":
        write_search_report(searching.store, searching.plan.study.name, searching.plan.run)
    return _train_winners(searching, run_of, cache) if only in (None, "final") else {}


def _search(searching: ClusterSearch) -> None:
    try:
        searching.run()
    finally:
        if searching.hardware_id is not None:
            there = on_hardware(searching.plan, searching.hardware_id)
            before = read_results(searching.store, there)
            write_results(searching.store, there, searching.arms, before and before["final"])
            write_search_report(searching.store, there.study.name, there.run)


def _train_winners(searching: ClusterSearch, run_of: Callable[[Plan], ClusterRun], cache: Path) -> dict[str, str]:
    store, console = searching.store, searching.console
    there, tried = ended_search(store, searching.plan, searching.all_arms())
    won = winners(store, there, tried)
    final = final_plan(store, searching.plan, won)  # its latencies are measured when it is evaluated
    console.print(f"training the winners again, as the study {final.ref}:", highlight=False)
    for kind, record in won.items():
        console.print(f"  {kind}: {' + '.join(record.networks)}", highlight=False, soft_wrap=True)
    _, missing = run_of(final).execute()
    shown = compared(store, search_of(there), final, won, read_summary(store, final), cache)
    write_results(store, there, tried, shown)
    write_search_report(store, there.study.name, there.run)
    return missing
