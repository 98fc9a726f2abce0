"""consort search --target cluster, and consort winners: what of a search needs a cluster, or comes after it."""

from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.app import DEFAULT_STORE, JsonOption, StoreOption, StudyArgument, app, cache_folder, open_store_at
from consort.cli.connecting import cluster_run, connect_for, images_of, owner_here

if TYPE_CHECKING:
    from rich.console import Console

    from consort.run.plan import Plan
    from consort.store import Store


def search_on_cluster(store: "Store", plan: "Plan", console: "Console", namespace: str | None, context: str | None,
                      at_a_time: int | None, only: str | None, sampler: str | None) -> dict[str, str]:
    """All stages of a search, or one, on a cluster; why each member of the winners that is missing is.

    sampler: katib-<algorithm>, in place of the study's.
    """
    from consort.cluster.search import ClusterSearch
    from consort.cluster.search_stages import run_search_on_cluster

    api = connect_for(store, namespace, context)
    if at_a_time is not None and plan.study.search is not None:  # how many is no part of a run's name
        plan = _with_parallel(plan, at_a_time)
    searching = ClusterSearch(api, store, plan, images_of(plan.study), console, owner_here(api), sampler)
    return run_search_on_cluster(searching, lambda final: cluster_run(api, store, final, console, at_a_time),
                                 cache_folder(), only)


def _with_parallel(plan: "Plan", number: int) -> "Plan":
    from dataclasses import replace

    assert plan.study.search is not None
    search = plan.study.search.model_copy(update={"parallel": number})
    return replace(plan, study=plan.study.model_copy(update={"search": search}))


@app.command()
def winners(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    sampler: Annotated[str | None, typer.Option(
        "--sampler", help="Where one of Katib's own searched: katib-<algorithm>.", show_default=False)] = None,
    json: JsonOption = False,
) -> None:
    """What the search of a STUDY found, and the study that trains it again: its run and its members.

    With --json also what that study showed, once it has.

    Plans that study where it is not planned yet: `consort run NAME/RUN` trains and compares its members.
    """
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.cli.run import member_states
    from consort.documents import canonical_json
    from consort.kube.experiment import arms
    from consort.search.arms import Arm
    from consort.search.ended import ended_search
    from consort.search.results import read_results
    from consort.search.trials import search_of
    from consort.search.winners import final_plan
    from consort.search.winners import winners as best_trials

    opened = open_store_at(store)
    plan = planned_study(opened, study, Console(stderr=True)).plan
    search_of(plan)
    there, tried = ended_search(opened, plan, [Arm(kind, name, False) for kind, name in arms(plan.study, sampler)])
    won = best_trials(opened, there, tried)
    final = final_plan(opened, plan, won)
    states = member_states(opened, final)
    if json:
        print(canonical_json({
            "study": final.study.name, "run": final.run, "ref": final.ref,
            "winners": [{"kind": kind, "networks": r.networks, "trial": r.id, "reward": r.reward,
                         "accuracy": r.accuracy, "latency_ms": r.latency_ms} for kind, r in won.items()],
            "members": [{"id": m, "state": state} for m, state in states.items()],
            "final": (read_results(opened, there) or {}).get("final")}))
        return
    for kind, record in won.items():
        print(f"{kind:8} {' + '.join(record.networks)}  reward {record.reward:.4f}  {record.latency_ms:.3g} ms")
    print(f"trained again as {final.ref}:")
    for member, state in states.items():
        print(f"  {member:48} {state}")
