"""consort search, winners and trial: looking for architectures."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.connecting import chosen_target
from consort.cli.options import (
    DEFAULT_STORE,
    CheckpointSecondsOption,
    CheckpointStepsOption,
    CompileOption,
    ContextOption,
    DataOption,
    DeterministicOption,
    ImagesOption,
    JsonOption,
    LoaderWorkersOption,
    LogOption,
    NamespaceOption,
    OutputOption,
    StoreOption,
    StudyArgument,
    open_store_at,
)
from consort.cli.reporting import failures_told, listener
from consort.cli.run import incomplete, interrupted, output_folder
from consort.cli.signals import interrupt_on_sigterm, stop_when_asked
from consort.plurals import are, counted

if TYPE_CHECKING:
    from rich.console import Console

    from consort.events import Listener
    from consort.run.plan import Plan
    from consort.run.run import Run
    from consort.run.target import Target
    from consort.search.records import TrialRecord
    from consort.search.trials import Candidate
    from consort.store import Store
    from consort.train.settings import Settings


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
    from consort.kube.experiment import OF_KATIB
    from consort.screen.live import Screen
    from consort.search.stages import STAGES, execute_search

    if only is not None and only not in STAGES:
        raise unknown_name("stage", only, STAGES)
    console, opened = Console(), open_store_at(store)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the cores are the trials'; gp's small matrices need no more
    asked = interrupt_on_sigterm()
    of_katib = sampler if (sampler or "").startswith(OF_KATIB) else None
    screen = Screen(console)
    chosen = chosen_target(target, opened, screen.listen, namespace, context, workers, of_katib)
    try:
        run = _planned(opened, study, console, data, None if of_katib else sampler)
        with screen:
            missing = execute_search(run, chosen, only)
    except KeyboardInterrupt:
        left = f"Katib and the jobs go on. The same command follows them, `consort cancel {study}` ends them."
        raise interrupted(console, chosen, asked(), left, "trials") from None
    _tell(run, console, output, chosen)
    if missing:
        raise incomplete(f"{counted(len(missing), 'member')} of the winners {are(len(missing))} missing", missing)


def _tell(run: "Run", console: "Console", output: Path | None, target: "Target") -> None:
    """The answer, the winners and where the report is; the report is copied to where the user is."""
    from consort.report import copy_search_report
    from consort.screen.answer import print_search_answer
    from consort.search.results import read_results

    results = read_results(run)
    if results is None:
        return
    print_search_answer(console, results, run.store)
    if (folder := output_folder(output, target, run)) is not None:
        print(f"copied to {copy_search_report(run.store, run.study.name, run.plan.run, folder)}")


def _planned(store: "Store", study: Path, console: "Console", data: str | None, sampler: str | None) -> "Run":
    """The run of a study that has a [search], with this sampler in place of its own."""
    from consort.cli.planning import planned_study
    from consort.search.trials import search_of

    run = planned_study(store, study, console, data, sampler=sampler).run
    search_of(run.plan)
    return run


def winners(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    sampler: Annotated[str | None, typer.Option(
        "--sampler", help="Where one of Katib's own searched: katib-<algorithm>.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the search of a STUDY found, and the study that trains it again: its run and its members.

    With --json also what that study showed, once it has.

    Plans that study where it is not planned yet: `consort run NAME/RUN` trains and compares its members.
    """
    from rich.console import Console

    from consort.documents import canonical_json
    from consort.search.arms import arms_of, open_tried
    from consort.search.results import read_results
    from consort.search.retraining import finalists
    from consort.search.trials import search_of
    from consort.search.winners import plan_final
    from consort.search.winners import winners as best_trials

    run = _planned(open_store_at(store), study, Console(stderr=True), None, None)
    there, tried = open_tried(run, arms_of(search_of(run.plan), sampler))
    won = best_trials(there, tried)
    second = {(kind, one.first.id): one.second for kind, of_kind in finalists(there, tried).items() for one in of_kind}
    twice = {kind: found.reward for kind, r in won.items() if (found := second.get((kind, r.id))) is not None}
    final = plan_final(run, won, tried)
    if as_json:
        print(canonical_json(_as_document(final, won, twice) | {"final": (read_results(there) or {}).get("final")}))
        return
    for kind, record in won.items():
        again = f", trained a second time {twice[kind]:.4f}" if twice.get(kind) is not None else ""
        print(f"{kind:8} {' + '.join(record.networks)}  reward {record.reward:.4f}{again}  {record.latency_ms:.3g} ms")
    print(f"trained again as {final.ref}:")
    for member, state in final.states().items():
        print(f"  {member:48} {state}")


def _as_document(final: "Run", won: Mapping[str, "TrialRecord"], twice: Mapping[str, float | None]) -> dict:
    """Winners by kind, as JSON. final: the study that trains them again; twice: rewards of their second trainings."""
    from consort.run.packs import to_launch

    states = final.states()
    return {"study": final.study.name, "run": final.plan.run, "ref": final.ref,
            "winners": [{"kind": kind, "networks": r.networks, "trial": r.id, "reward": r.reward,
                         "accuracy": r.accuracy, "latency_ms": r.latency_ms, "reward_second": twice.get(kind)}
                        for kind, r in won.items()],
            "members": [{"id": member, "state": state} for member, state in states.items()],
            "packs": to_launch(final, states)}


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
    second: Annotated[bool, typer.Option(
        "--second", help="Its second training, with members of other seeds.")] = False,
    store: StoreOption = DEFAULT_STORE,
    metrics: Annotated[Path | None, typer.Option(help="Append the metrics to this file, as JSON that Katib reads.",
                                                 show_default=False)] = None,
    checkpoint_seconds: CheckpointSecondsOption = 60.0,
    checkpoint_steps: CheckpointStepsOption = None,
    loader_workers: LoaderWorkersOption = 0,
    images: ImagesOption = None,
    deterministic: DeterministicOption = False,
    compiled: CompileOption = False,
    log: LogOption = "text",
) -> None:
    """Run one trial of a search: train what its candidate lacks, judge it, record it.

    SIGTERM saves the state and exits with 143; the same command goes on. A trial that cannot be trained is recorded as
    failed, with exit code 3.
    """
    from dataclasses import replace

    from consort.train.settings import Settings

    listen = listener(log)
    with failures_told(listen, log):
        opened = open_store_at(store)
        run = _planned_trial(opened, study, images)
        tried = replace(_candidate(run.plan, networks, choices, kind), second=second)
        settings = Settings(checkpoint_seconds, checkpoint_steps, loader_workers, deterministic=deterministic or None,
                            compile=compiled)
        _try(run, tried, settings, listen, metrics)


def _planned_trial(store: "Store", study: Path, images: Path | None) -> "Run":
    from dataclasses import replace

    from rich.console import Console

    from consort.cli.planning import planned_study

    run = planned_study(store, study, Console(stderr=True)).run
    if images is None:
        return run
    return replace(run, plan=replace(run.plan, data=replace(run.plan.data, root=images)))


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


def _try(run: "Run", tried: "Candidate", settings: "Settings", listen: "Listener", metrics: Path | None) -> None:
    from dataclasses import replace

    import torch

    from consort.errors import MemberFailed
    from consort.events import TrialEnded
    from consort.search import trials
    from consort.search.trial_step import run_trial

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    record = run_trial(run, tried, replace(settings, stop=stop_when_asked()), listen)
    if record.state == trials.FAILED:
        raise MemberFailed(f"trial {record.id} failed: {record.reason}")
    listen(TrialEnded(record.id, record.state, **trials.metrics(record)))
    if metrics is not None and record.state == trials.DONE:
        with open(metrics, "a") as file:
            file.write(trials.katib_line(record) + "\n")

