"""consort run, plan and init: a study from its file to its answer."""

import os
import signal
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.app import (
    DEFAULT_STORE,
    DataOption,
    GrowOption,
    JsonOption,
    OutputOption,
    StoreOption,
    StudyArgument,
    app,
    cache_folder,
    open_store_at,
)
from consort.cli.connecting import ContextOption, NamespaceOption, cluster_run, connect_for

if TYPE_CHECKING:
    from consort.run.plan import Plan
    from consort.store import Store
    from consort.study.search import Search


@app.command()
def run(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    workers: Annotated[int | None, typer.Option(
        "--workers", "-j", min=1, help="Members trained side by side; by default one per core or GPU.")] = None,
    only: Annotated[str | None, typer.Option(
        "--only", metavar="members|evaluate|report", help="Do one stage of the three.")] = None,
    grow: GrowOption = False,
    data: DataOption = None,
    target: Annotated[str, typer.Option(metavar="local|cluster", help="Where members train.")] = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = None,
) -> None:
    """Train a STUDY's members, compare ensembles, report.

    Every ensemble of the trained members is compared with the single networks, at equal MACs, latency and training.
    What the store holds already is not done again: run the same command after an interruption, or with more seeds.
    With --target cluster each member is a PyTorchJob, and --workers says how many train at a time.
    """
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.errors import IncompleteRun, InputError, unknown_name
    from consort.local.target import STAGES, LocalRun

    for kind, name, known in (("stage", only, STAGES), ("target", target, ("local", "cluster"))):
        if name is not None and name not in known:
            raise unknown_name(kind, name, known)
    console = Console()
    opened = open_store_at(store)
    asked = _noted_signal()
    try:
        if target == "cluster":
            api = connect_for(opened, namespace, context)
        plan = planned_study(opened, study, console, data, grow).plan
        if not plan.specs:
            raise InputError(f"the study {plan.study.name} names no architectures, only a [search]: `consort search "
                             f"{study}` looks for them and compares what it finds.")
        chosen = cluster_run(api, opened, plan, console, workers) if target == "cluster" else LocalRun(
            opened, plan, cache_folder(), console, "consort " + " ".join(sys.argv[1:]), workers)
        summary, missing = chosen.execute(only)
    except KeyboardInterrupt:
        console.print(f"\nleft; the jobs go on. `consort attach {study}` follows them, the same command goes on, "
                      f"`consort cancel {study}` ends them." if target == "cluster" else
                      "\nstopped; members in training saved their state. The same command goes on from there.",
                      soft_wrap=True, highlight=False)
        raise typer.Exit(143 if asked and target == "cluster" else 130) from None
    if summary:
        from consort.report import copy_report
        from consort.screen.answer import print_answer

        print_answer(console, summary, opened)
        if (folder := output_folder(output, target, plan)) is not None:
            print(f"copied to {copy_report(opened, plan.study.name, plan.run, folder)}")
    if missing:
        raise IncompleteRun(f"{len(missing)} of {len(plan.specs)} members are missing; what finished is kept:\n"
                            + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


@app.command()
def plan(study: StudyArgument, store: StoreOption = DEFAULT_STORE, grow: GrowOption = False, data: DataOption = None,
         json: JsonOption = False) -> None:
    """Prepare a STUDY's data and list its members."""
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.documents import canonical_json

    opened = open_store_at(store)
    planned = planned_study(opened, study, Console(stderr=True), data, grow)
    states = member_states(opened, planned.plan)
    if json:
        print(canonical_json({"study": planned.plan.study.name, "run": planned.plan.run, "ref": planned.plan.ref,
                              "level": planned.level, "data": planned.plan.data.fingerprint,
                              "members": [{"id": m, "state": state} for m, state in states.items()]}))
        return
    for member, state in states.items():
        print(f"{member:50} {state}")
    if planned.plan.study.search is not None:
        _print_search(planned.plan.study.search)


def _print_search(search: "Search") -> None:
    samplers = dict.fromkeys([search.sampler, *(["random"] if search.control else [])])
    print(f"`consort search` tries, by {' and as many by '.join(samplers)}:")
    for kind in search.kinds:
        print(f"  {kind:8} {search.trials:,} of {search.space(kind).size:,} candidates")


def output_folder(output: Path | None, target: str, plan: "Plan") -> Path | None:
    """Where a report is copied to: from a cluster to where the user is, unless that is a pod."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    if output is None and (target == "local" or in_pod):
        return None
    return output or Path("consort-report") / f"{plan.study.name}-{plan.run}"


def member_states(store: "Store", plan: "Plan") -> dict[str, str]:
    """Member -> done, failed, to import or to train."""
    from consort import members

    present = members.files(store, [spec.id for spec in plan.specs])
    return {member: "done" if "member.json" in names else "failed" if "failed.json" in names
            else "to import" if member in plan.weights else "to train" for member, names in present.items()}


@app.command()
def init(path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.toml")) -> None:
    """Write a commented study file to start from."""
    from consort.errors import InputError

    if path.exists():
        raise InputError(f"{path} exists already; name another file.")
    try:
        path.write_text(files("consort.cli").joinpath("study.toml").read_text())
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}. Name another place.") from e
    print(f"wrote {path}. Edit it, then: consort run {path}")


def _noted_signal() -> list[int]:
    """SIGTERM interrupts as Ctrl-C does; the list tells that it came."""
    asked: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    return asked
