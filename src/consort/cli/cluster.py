"""consort attach, status, logs, cancel, gc, list: what happens on a cluster, and ending it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.app import DEFAULT_STORE, JsonOption, StoreOption, StudyArgument, app, cache_folder, open_store_at
from consort.cli.connecting import ContextOption, NamespaceOption, cluster_target, connect, owner_here

if TYPE_CHECKING:
    from consort.cluster.overview import MemberState


@app.command()
def status(study: StudyArgument, store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None,
           context: ContextOption = None, json: JsonOption = False) -> None:
    """Each member of a STUDY on the cluster: state, pod, restarts."""
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.cluster.overview import member_states
    from consort.documents import canonical_json

    opened = open_store_at(store)
    run = planned_study(opened, study, Console(stderr=True)).run
    states = member_states(connect(namespace, context), opened, run.ids)
    if json:
        print(canonical_json([dataclasses.asdict(s) for s in states]))
        return
    for state in states:
        print(_state_line(state))
    done = sum(s.state == "done" for s in states)
    print(f"{done} of {len(states)} members of {run.ref} are done")


def _state_line(state: "MemberState") -> str:
    progress = f"epoch {state.epoch:.1f} / {state.epochs}  loss {state.loss:.3f}" if state.epoch is not None else ""
    restarts = f"{state.restarts} restarts" if state.restarts else ""
    place = f"{state.pod} on {state.node}" if state.node else state.pod
    shown = "  ".join(part for part in (progress, place, restarts, state.detail) if part)
    return f"{state.member:48} {state.state:10} {shown}".rstrip()


@app.command("list")
def list_runs(store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None, context: ContextOption = None,
              json: JsonOption = False) -> None:
    """The runs that the store knows, and their jobs on the cluster."""
    from consort.cluster.overview import runs
    from consort.documents import canonical_json

    found = runs(open_store_at(store), connect(namespace, context))
    if json:
        print(canonical_json([dataclasses.asdict(r) for r in found]))
        return
    print(f"{'run':52} {'jobs':>4}  answer")
    for run in found:
        print(f"{run.run:52} {run.active_jobs:>4}  {'yes' if run.answered else 'no'}")


@app.command()
def attach(study: StudyArgument, store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None,
           context: ContextOption = None) -> None:
    """Follow what runs of a STUDY on the cluster; starts nothing."""
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.errors import IncompleteRun, MissingKey
    from consort.screen.answer import print_answer

    console, opened = Console(), open_store_at(store)
    run = planned_study(opened, study, console).run
    target = cluster_target(connect(namespace, context), console)
    try:
        failed = target.follow(run).failed
    except KeyboardInterrupt:
        console.print("\nleft; the jobs go on.", soft_wrap=True)
        raise typer.Exit(130) from None
    try:
        print_answer(console, run.summary(), opened)
    except MissingKey:
        missing = run.unfinished(failed)
        raise IncompleteRun(f"no job of {run.ref} runs any more, and it has no answer yet; "
                            f"{len(missing)} of {len(run.ids)} members are missing. `consort run {study} --target "
                            "cluster` goes on.") from None


@app.command()
def logs(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="A member's id, or how it begins.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int | None, typer.Option(min=1, help="Only the last lines.", show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """What a MEMBER's pods on the cluster print."""
    from consort import members
    from consort.cluster.follow import member_selector
    from consort.errors import MissingKey
    from consort.kube.pytorch_job import CONTAINER

    api = connect(namespace, context)
    found = members.find(open_store_at(store), member)
    pods = sorted(api.list("Pod", member_selector(found)), key=lambda p: p["metadata"]["name"])
    if not pods:
        raise MissingKey(f"namespace {api.namespace} has no pod of {found}: its job has not started, or ended and was "
                         "removed. `consort status` tells its state.")
    for pod in pods if not follow else pods[:1]:
        if len(pods) > 1:
            print(f"== {pod['metadata']['name']}")
        for line in api.log(pod["metadata"]["name"], CONTAINER, follow=follow, tail=tail):
            print(line, flush=True)


@app.command()
def cancel(
    what: Annotated[str, typer.Argument(metavar="STUDY|MEMBER", help="A study file, NAME/RUN, or a member's id.")],
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """End what runs of a STUDY (or one MEMBER) on the cluster.

    A study file means every run of a study of that name, grown ones too; NAME/RUN means that run. Members save their
    state first: a later run goes on from there. A CronJob or a recurring run stays.
    """
    from consort.cluster.reap import cancel as cancel_jobs

    deleted = cancel_jobs(connect(namespace, context), _selector(what, store))
    print("\n".join(f"ended {name}" for name in deleted) or "nothing of it runs here")


def _selector(what: str, store: str) -> str:
    """Selects the jobs and pods of a study file, a run or a member."""
    from consort import members
    from consort.cli.planning import is_ref, read_study
    from consort.kube import names
    from consort.run.plan import open_plan

    study = Path(what)
    if not study.is_file() and "/" not in what:
        return f"{names.MEMBER_LABEL}={members.find(open_store_at(store), what)}"
    if not is_ref(study):
        return f"{names.STUDY_LABEL}={read_study(study, None)[0].name}"
    plan = open_plan(open_store_at(store), study.as_posix(), cache_folder())
    return f"{names.STUDY_LABEL}={plan.study.name},{names.RUN_LABEL}={plan.run}"


@app.command()
def gc(
    own: Annotated[bool, typer.Option("--own", help="Those of the Job or KFP run of this pod too, where nobody else "
                                      "wants them: it calls this as its last step.")] = False,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """End jobs on the cluster whose owner has ended.

    A terminated KFP run leaves the members' jobs running; the manifests run this every minute.
    """
    from consort.cluster.reap import collect

    api = connect(namespace, context)
    owner = owner_here(api) if own else None
    deleted = collect(api, owner["uid"] if owner else None)
    print("\n".join(f"ended {name}" for name in deleted) or "no orphans")
