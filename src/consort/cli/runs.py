"""consort list, status and logs: what there is of runs and members, in the store and on the cluster."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import (
    DEFAULT_STORE,
    ContextOption,
    JsonOption,
    NamespaceOption,
    StoreOption,
    StudyArgument,
    open_store_at,
)
from consort.plurals import are, counted

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi
    from consort.errors import IntegrityError
    from consort.run.member_state import MemberState
    from consort.run.overview import RunOverview
    from consort.store import Store


def list_runs(store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None, context: ContextOption = None,
              as_json: JsonOption = False) -> None:
    """List the runs of the store: how far each is, its answer, where its report is, and its jobs on the cluster.

    The cluster is asked where the store is one that pods reach (s3://...) and a kubeconfig, or a pod, names one.
    """
    from consort.documents import canonical_json
    from consort.members import all_damaged
    from consort.run.overview import overviews

    opened = open_store_at(store)
    jobs = _active_jobs(opened, namespace, context)
    faults: dict[str, IntegrityError] = {}
    found = list(overviews(opened, faults))
    if as_json:
        print(canonical_json([{**dataclasses.asdict(r), "answered": r.answer != "", "active_jobs": jobs.get(r.run, 0)}
                              for r in found]))
    else:
        _print_runs(opened, found, jobs)
    if faults:
        raise all_damaged(faults)


def _print_runs(store: "Store", found: "Sequence[RunOverview]", jobs: "Mapping[str, int]") -> None:
    if not found:
        print(f"no run was planned in {store.uri} yet: `consort run STUDY` plans one")
    for run in found:
        failed = f", {run.failed} failed" if run.failed else ""
        failed += f", {run.damaged} damaged" if run.damaged else ""
        active = f", {counted(jobs[run.run], 'job')} on the cluster" if jobs.get(run.run) else ""
        done = f"{run.done} of {counted(run.members, 'member')}"
        print(f"{run.run}  {done}{failed}{active}  {run.finished_at[:16]}".rstrip())
        if run.answer:
            print(f"  {run.answer}")
        if run.report:
            print(f"  {run.report}")


def _active_jobs(store: "Store", namespace: str | None, context: str | None) -> dict[str, int]:
    """Run -> its jobs on the cluster; nothing where pods cannot reach the store, or there is no cluster."""
    from consort.cli.connecting import connect_where_named

    api = connect_where_named(store, namespace, context)
    if api is None:
        return {}
    from consort.cluster.overview import active_jobs

    return active_jobs(api)


def status(study: StudyArgument, store: StoreOption = DEFAULT_STORE, namespace: NamespaceOption = None,
           context: ContextOption = None, as_json: JsonOption = False) -> None:
    """Show the state of each member of a STUDY, and on a cluster its pod and restarts.

    The cluster is asked where the store is one that pods reach (s3://...) and a kubeconfig, or a pod, names one.
    """
    from rich.console import Console

    from consort.cli.connecting import connect_where_named
    from consort.cli.planning import planned_study
    from consort.documents import canonical_json
    from consort.errors import IntegrityError
    from consort.run.member_state import DAMAGED, stored_states

    opened = open_store_at(store)
    run = planned_study(opened, study, Console(stderr=True)).run
    if (api := connect_where_named(opened, namespace, context)) is not None:
        from consort.cluster.overview import member_states

        states = member_states(api, opened, run.ids)
    else:
        states = stored_states(run)
    if as_json:
        print(canonical_json([dataclasses.asdict(s) for s in states]))
    else:
        for state in states:
            print(_state_line(state))
        done = sum(s.state == "done" for s in states)
        print(f"{done} of {counted(len(states), 'member')} of {run.ref} {are(done)} done")
    if damaged := [s.detail for s in states if s.state == DAMAGED]:
        raise IntegrityError("\n".join(damaged))


def _state_line(state: "MemberState") -> str:
    from consort.answer.amounts import format_loss
    from consort.events import without_name
    from consort.run.member_state import DAMAGED

    detail = "" if state.state == DAMAGED else without_name(state.member, state.detail)  # stands on stderr
    progress = ("" if state.epoch is None or state.loss is None else
                f"epoch {state.epoch:.1f} / {state.epochs}  loss {format_loss(state.loss)}")
    restarts = counted(state.restarts, "restart") if state.restarts else ""
    place = f"{state.pod} on {state.node}" if state.node else state.pod
    shown = "  ".join(part for part in (progress, place, restarts, detail) if part)
    return f"{state.member:48} {state.state:10} {shown}".rstrip()


def logs(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="A member's id, or how it begins.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int | None, typer.Option(min=1, help="Only the last lines.", show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Print how a MEMBER's training went; while it runs on a cluster, what its pods print."""
    from consort import members
    from consort.cli.connecting import connect_where_named

    opened = open_store_at(store)
    found = members.find(opened, member)
    api = connect_where_named(opened, namespace, context)
    if api is None or not _pod_logs(api, found, follow, tail):
        _history(opened, found, tail)


def _pod_logs(api: "KubernetesApi", member: str, follow: bool, tail: int | None) -> bool:
    """Whether there was a pod whose log could be printed."""
    from consort.cluster.member_log import member_lines, member_pods

    pods = member_pods(api, member)
    for pod in pods if not follow else pods[:1]:
        if len(pods) > 1:
            print(f"== {pod['metadata']['name']}")
        for line in member_lines(api, pod, member, follow, tail):
            print(line, flush=True)
    return bool(pods)


def _history(store: "Store", member: str, tail: int | None) -> None:
    """What the store says of a member: its epochs where it is done, else why it is not."""
    from consort import members
    from consort.answer.amounts import format_loss
    from consort.errors import MissingKey
    from consort.events import without_name
    from consort.members.history import read_history

    record = members.read_record(store, member)
    if record is None:
        reason = members.why_missing(store, member)
        if reason is None:
            raise MissingKey(f"member {member} is not done, and nothing of its training can be seen here: it has no "
                             "pod, and on one machine the run that trains it shows it.")
        print(f"{member}: {without_name(member, reason)}")
        return
    for row in read_history(store, record)[-(tail or 0):]:
        accuracy = "" if row.val_accuracy is None else f"  {100 * row.val_accuracy:.2f} % on validation"
        print(f"epoch {row.epoch}  step {row.steps}  loss {format_loss(row.loss)}  rate {row.learning_rate:.4g}"
              + accuracy)
    print(f"done {record.finished_at}, {record.train_seconds:.0f} s, {counted(record.attempts, 'attempt')}")
