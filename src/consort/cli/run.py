"""consort run and plan: a study from its file to its answer."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.connecting import chosen_target
from consort.cli.options import (
    DEFAULT_STORE,
    ContextOption,
    DataOption,
    GrowOption,
    JsonOption,
    NamespaceOption,
    OutputOption,
    StoreOption,
    StudyArgument,
    open_store_at,
)
from consort.cli.signals import interrupt_on_sigterm
from consort.plurals import are, counted

if TYPE_CHECKING:
    from rich.console import Console

    from consort.errors import IncompleteRun
    from consort.run.run import Run
    from consort.run.target import Target
    from consort.study.search import Search


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
    from consort.errors import unknown_name
    from consort.run.outlook import warnings
    from consort.run.stages import STAGES, execute
    from consort.screen.live import Screen

    if only is not None and only not in STAGES:
        raise unknown_name("stage", only, STAGES)
    console, opened = Console(), open_store_at(store)
    asked, screen = interrupt_on_sigterm(), Screen(console)
    chosen = chosen_target(target, opened, screen.listen, namespace, context, workers)
    try:
        planned = planned_study(opened, study, console, data, grow).run
        if only in (None, "members"):
            for text in warnings(planned):
                console.print(f"warning: {text}", highlight=False, markup=False, soft_wrap=True)
        with screen:
            summary, missing = execute(planned, chosen, only)
    except KeyboardInterrupt:
        left = (f"the jobs go on. `consort attach {study}` follows them, the same command goes on, `consort cancel "
                f"{study}` ends them.")
        raise interrupted(console, chosen, asked(), left, "members") from None
    if summary:
        _tell(planned, summary, console, output, chosen)
    if missing:
        all_of_them = counted(len(planned.ids), "member")
        raise incomplete(f"{len(missing)} of {all_of_them} {are(len(missing))} missing", missing)


def interrupted(console: "Console", target: "Target", by_sigterm: bool, left: str, what: str) -> typer.Exit:
    """How a command that was interrupted ends, after saying what goes on. left: of jobs on a cluster; what: trains
    here."""
    console.print(f"\nleft; {left}" if target.remote else
                  f"\nstopped; {what} in training saved their state. The same command goes on from there.",
                  soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(143 if by_sigterm and target.remote else 130)


def incomplete(what: str, missing: Mapping[str, str]) -> "IncompleteRun":
    """missing: member -> why."""
    from consort.errors import IncompleteRun

    return IncompleteRun(f"{what}; what finished is kept:\n"
                         + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


def _tell(run: "Run", summary: dict, console: "Console", output: Path | None, target: "Target") -> None:
    """The answer and where the report is; the report is copied to where the user is."""
    from consort.report import copy_report
    from consort.screen.answer import print_answer

    print_answer(console, summary, run.store)
    if (folder := output_folder(output, target, run)) is not None:
        print(f"copied to {copy_report(run.store, run.study.name, run.plan.run, folder)}")


def plan(study: StudyArgument, store: StoreOption = DEFAULT_STORE, grow: GrowOption = False, data: DataOption = None,
         as_json: JsonOption = False) -> None:
    """Prepare a STUDY's data, check what it needs, list its members and what training them takes."""
    from dataclasses import asdict

    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.documents import canonical_json
    from consort.run.outlook import outlook
    from consort.run.packs import to_launch
    from consort.screen.outlook import outlook_lines

    planned = planned_study(open_store_at(store), study, Console(stderr=True), data, grow)
    run, states, found = planned.run, planned.run.states(), outlook(planned.run)
    if as_json:
        print(canonical_json({"study": run.study.name, "run": run.plan.run, "ref": run.ref,
                              "level": planned.level, "data": run.plan.data.fingerprint,
                              "members": [{"id": m, "state": state} for m, state in states.items()],
                              "packs": to_launch(run, states),
                              "images": found.images, "networks": [asdict(network) for network in found.networks],
                              "train_macs": found.train_macs, "disk_bytes": found.disk_bytes,
                              "warnings": found.warnings}))
        return
    for member, state in states.items():
        print(f"{member:50} {state}")
    if run.study.search is not None:
        _print_search(run.study.search)
    for line in outlook_lines(run, found):
        print(line)


def _print_search(search: "Search") -> None:
    samplers = dict.fromkeys([search.sampler, *(["random"] if search.control else [])])
    print(f"`consort search` tries, by {' and as many by '.join(samplers)}:")
    for kind in search.kinds:
        print(f"  {kind:8} {search.trials:,} of {counted(search.space(kind).size, 'candidate')}")


def output_folder(output: Path | None, target: "Target", run: "Run") -> Path | None:
    """Where a report is copied to: from a cluster to where the user is, unless that is a pod."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    if output is None and (not target.remote or in_pod):
        return None
    return output or Path("consort-report") / f"{run.study.name}-{run.plan.run}"
