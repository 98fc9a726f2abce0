"""consort attach, cancel and gc: following what runs on a cluster, and ending it."""

from pathlib import Path
from typing import Annotated

import typer

from consort.cli.connecting import cluster_target, connect, owner_here
from consort.cli.options import (
    DEFAULT_STORE,
    ContextOption,
    NamespaceOption,
    StoreOption,
    StudyArgument,
    cache_folder,
    open_store_at,
)
from consort.plurals import are, counted


def attach(study: StudyArgument, store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None,
           context: ContextOption = None) -> None:
    """Follow what runs of a STUDY on the cluster; starts nothing."""
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.errors import IncompleteRun, MissingKey
    from consort.screen.answer import print_answer
    from consort.screen.live import Screen

    console, opened = Console(), open_store_at(store)
    run = planned_study(opened, study, console).run
    screen = Screen(console)
    target = cluster_target(connect(namespace, context), screen.listen)
    try:
        with screen:
            failed = target.follow(run).failed
    except KeyboardInterrupt:
        console.print("\nleft; the jobs go on.", soft_wrap=True)
        raise typer.Exit(130) from None
    try:
        print_answer(console, run.summary(), opened)
    except MissingKey:
        missing = run.unfinished(failed)
        raise IncompleteRun(f"no job of {run.ref} runs any more, and it has no answer yet; "
                            f"{len(missing)} of {counted(len(run.ids), 'member')} {are(len(missing))} missing. "
                            f"`consort run {study} --target cluster` goes on.") from None


def cancel(
    what: Annotated[str, typer.Argument(metavar="STUDY|MEMBER", help="A study file, NAME/RUN, or a member's id.")],
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """End what runs of a STUDY (or one MEMBER) on the cluster.

    A study file means every run of a study of that name, grown ones too; NAME/RUN means that run. Members save their
    state first: a later run goes on from there. Where a MEMBER shares a job, the others go on in another one. A CronJob
    or a recurring run stays.
    """
    from consort import members
    from consort.cluster.reap import cancel as cancel_jobs
    from consort.cluster.reap import cancel_member

    if Path(what).is_file() or "/" in what:
        deleted = cancel_jobs(connect(namespace, context), _selector(what, store))
    else:
        member = members.find(open_store_at(store), what)
        deleted = cancel_member(connect(namespace, context), member)
    print("\n".join(f"ended {name}" for name in deleted) or "nothing of it runs here")


def _selector(what: str, store: str) -> str:
    """Selects the jobs and pods of a study file or a run."""
    from consort.cli.planning import is_ref, read_study
    from consort.kube import names
    from consort.run.plan import open_plan

    study = Path(what)
    if not is_ref(study):
        return f"{names.STUDY_LABEL}={read_study(study, None)[0].name}"
    plan = open_plan(open_store_at(store), study.as_posix(), cache_folder())
    return f"{names.STUDY_LABEL}={plan.study.name},{names.RUN_LABEL}={plan.run}"


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
