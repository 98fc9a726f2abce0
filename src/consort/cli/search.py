"""consort search and trial: looking for architectures."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consort.cli.app import (
    DEFAULT_STORE,
    DataOption,
    OutputOption,
    StoreOption,
    StudyArgument,
    app,
    cache_folder,
    open_store_at,
)
from consort.cli.connecting import ContextOption, NamespaceOption
from consort.cli.steps import ImagesOption, LogOption, json_report, text_report

if TYPE_CHECKING:
    from consort.run.plan import Plan
    from consort.search.trials import Candidate
    from consort.store import Store

STAGES = ("search", "final", "report")
OF_KATIB = "katib-"


@app.command()
def search(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    workers: Annotated[int | None, typer.Option(
        "--workers", "-j", min=1, help="Trials, then members, trained side by side; by default one per core or GPU.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(
        "--sampler", help="Another sampler than the study's, with its default settings; on a cluster also "
                          "katib-<algorithm>, one of Katib's own.", show_default=False)] = None,
    only: Annotated[str | None, typer.Option(
        "--only", metavar="search|final|report", help="Do one stage of the three.")] = None,
    data: DataOption = None,
    target: Annotated[str, typer.Option(metavar="local|cluster", help="Where trials train.")] = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = None,
) -> None:
    """Search the architectures that a STUDY's [search] describes, then train the winners again and compare them.

    What the store holds already is not done again: run the same command after an interruption. With --target cluster
    Katib leads the trials, an Experiment for each kind and sampler, and each trial is a PyTorchJob.
    """
    from rich.console import Console

    from consort.errors import unknown_name
    from consort.local.search_stages import run_search

    for kind, name, known in (("stage", only, STAGES), ("target", target, ("local", "cluster"))):
        if name is not None and name not in known:
            raise unknown_name(kind, name, known)
    console, opened = Console(), open_store_at(store)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the cores are the trials'; gp's small matrices need no more
    signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        if target == "cluster":
            from consort.cli.search_on_cluster import search_on_cluster

            of_katib = sampler if (sampler or "").startswith(OF_KATIB) else None
            plan = _planned(opened, study, console, data, None if of_katib else sampler)
            missing = search_on_cluster(opened, plan, console, namespace, context, workers, only, of_katib)
        else:
            plan = _planned(opened, study, console, data, sampler)
            missing = run_search(opened, plan, console, cache_folder(), "consort " + " ".join(sys.argv[1:]), workers,
                                 only)
    except KeyboardInterrupt:
        console.print(f"\nleft; Katib and the jobs go on. The same command follows them, `consort cancel {study}` ends "
                      "them." if target == "cluster" else
                      "\nstopped; trials in training saved their state. The same command goes on from there.",
                      soft_wrap=True, highlight=False)
        raise typer.Exit(130) from None
    _tell(opened, plan, console, output, target)
    if missing:
        from consort.errors import IncompleteRun

        raise IncompleteRun(f"{len(missing)} members of the winners are missing; what finished is kept:\n"
                            + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


def _tell(store: "Store", plan: "Plan", console: Any, output: Path | None, target: str) -> None:
    """The answer, the winners and where the report is; the report is copied to where the user is."""
    from consort.cli.run import output_folder
    from consort.report import copy_search_report
    from consort.screen.answer import print_search_answer
    from consort.search.results import read_results

    results = read_results(store, plan)
    if results is None:
        return
    print_search_answer(console, results, store)
    if (folder := output_folder(output, target, plan)) is not None:
        print(f"copied to {copy_search_report(store, plan.study.name, plan.run, folder)}")


def _planned(store: "Store", study: Path, console: Any, data: str | None, sampler: str | None) -> "Plan":
    from consort.cli.planning import is_ref, planned_study, preparation, read_study
    from consort.errors import InputError
    from consort.run.plan import plan
    from consort.search.trials import search_of

    if sampler is None:
        planned = planned_study(store, study, console, data).plan
        search_of(planned)
        return planned
    if is_ref(study):
        raise InputError(f"--sampler is for study files: the run {study} has its sampler already.")
    loaded, text = read_study(study, data)
    if loaded.search is not None:
        loaded = loaded.with_sampler(sampler)
    with preparation(console) as shown:
        planned = plan(store, loaded, study.parent, cache_folder(), shown, text)
    search_of(planned)
    return planned


@app.command()
def trial(
    study: Annotated[Path, typer.Argument(metavar="NAME/RUN", help="A planned study that searches, or its file.",
                                          show_default=False)],
    networks: Annotated[str | None, typer.Option(
        "--networks", metavar="NET,NET,...", help="One per member; for copies of one network, that one.",
        show_default=False)] = None,
    choices: Annotated[str | None, typer.Option(
        "--choices", envvar="CONSORT_CHOICES", metavar="'NAME=VALUE ...'",
        help="Instead: a value for every parameter of the search space.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option(
        metavar="single|uniform|joint", help="Kind of candidate; by default what the number of networks says.",
        show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    metrics: Annotated[Path | None, typer.Option(help="Append the metrics to this file, as JSON that Katib reads.",
                                                 show_default=False)] = None,
    checkpoint_seconds: Annotated[float, typer.Option(min=0.1, help="Save the state this often.")] = 60.0,
    checkpoint_steps: Annotated[int | None, typer.Option(min=1, help="Save every N steps too.",
                                                         show_default=False)] = None,
    loader_workers: Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")] = 0,
    images: ImagesOption = None,
    log: LogOption = "text",
) -> None:
    """One trial of a search: train what its candidate lacks, judge it, record it.

    SIGTERM saves the state and exits with 143; the same command goes on. A trial that cannot be trained is recorded as
    failed, with exit code 3.
    """
    from consort.errors import ConsortError, unknown_name
    from consort.events import event_line

    reporters: dict[str, Callable[..., None]] = {"text": text_report, "json": json_report}
    if log not in reporters:
        raise unknown_name("kind of --log", log, reporters)
    try:
        opened = open_store_at(store)
        plan = _planned_trial(opened, study, images)
        tried = _candidate(plan, networks, choices, kind)
        _run(opened, plan, tried, checkpoint_seconds, checkpoint_steps, loader_workers, reporters[log], metrics)
    except ConsortError as e:
        if log == "json":
            print(event_line("error", kind=type(e).__name__, text=str(e), exit_code=e.exit_code), flush=True)
            sys.exit(e.exit_code)
        raise


def _planned_trial(store: "Store", study: Path, images: Path | None) -> "Plan":
    import dataclasses

    from rich.console import Console

    from consort.cli.planning import planned_study

    plan = planned_study(store, study, Console(stderr=True)).plan
    return plan if images is None else dataclasses.replace(plan, data=dataclasses.replace(plan.data, root=images))


def _candidate(plan: "Plan", networks: str | None, choices: str | None, kind: str | None) -> "Candidate":
    from consort.errors import InputError
    from consort.search import trials

    search = trials.search_of(plan)
    if (networks is None) == (choices is None):
        raise InputError("name the candidate: --networks NET,NET,... or --choices 'NAME=VALUE ...', one of the two.")
    if networks is not None:
        names = [name.strip() for name in networks.split(",")]
        return trials.candidate(plan, kind or ("single" if len(names) == 1 else "joint"), names)
    assignments = dict(part.partition("=")[::2] for part in (choices or "").split())
    members = {name.split("_")[0] for name in assignments}
    chosen = kind or ("joint" if len(members) > 1 else "single")
    return trials.candidate(plan, chosen, search.space(chosen).decode(search.space(chosen).encoding_of(assignments)))


def _run(store: "Store", plan: "Plan", tried: "Candidate", seconds: float, steps: int | None, workers: int,
         report: Callable[..., None], metrics: Path | None) -> None:
    import torch

    from consort.errors import MemberFailed
    from consort.search import trials
    from consort.search.trial_step import run_trial
    from consort.train.loop import Settings

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    settings = Settings(seconds, steps, workers, stop=lambda: bool(stopped))
    record = run_trial(store, plan, tried, settings, report)
    if record.state == trials.FAILED:
        raise MemberFailed(f"trial {record.id} failed: {record.reason}")
    report("trial", trial=record.id, state=record.state, **trials.metrics(record))
    if metrics is not None and record.state == trials.DONE:
        with open(metrics, "a") as file:
            file.write(trials.katib_line(record) + "\n")


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
