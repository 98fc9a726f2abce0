"""consort train, predict, evaluate and report: the steps by themselves, as a job on a cluster runs them too."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import (
    DEFAULT_STORE,
    CheckpointSecondsOption,
    CheckpointStepsOption,
    CompileOption,
    DataOption,
    DeterministicOption,
    ImagesOption,
    JsonOption,
    LoaderWorkersOption,
    LogOption,
    StoreOption,
    StudyArgument,
    cache_folder,
    open_store_at,
)
from consort.cli.reporting import Told, failures_told, listener
from consort.cli.signals import stop_when_asked
from consort.errors import ConsortError

if TYPE_CHECKING:
    from consort.events import Listener
    from consort.members.records import MemberRecord
    from consort.run.run import Run
    from consort.store import Store
    from consort.train.settings import Settings


def train(
    member: Annotated[list[str], typer.Option("--member", help="Id of a planned member (`consort plan` lists them); "
                                              "may be repeated.")],
    store: StoreOption = DEFAULT_STORE,
    checkpoint_seconds: CheckpointSecondsOption = 60.0,
    checkpoint_steps: CheckpointStepsOption = None,
    loader_workers: LoaderWorkersOption = 0,
    images: ImagesOption = None,
    torchrun: Annotated[bool, typer.Option(
        "--torchrun", help="As several processes: those that PET_* asks for, or --processes on this machine.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="With --torchrun: processes on this machine.",
                                                  show_default=False)] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for another process that trains this member."
                                            )] = 0.0,
    members_per_gpu: Annotated[int | None, typer.Option(min=1, help="That train side by side; by default as many as "
                                                        "fill it.", show_default=False)] = None,
    deterministic: DeterministicOption = False,
    compiled: CompileOption = False,
    log: LogOption = "text",
) -> None:
    """Train members, or go on where they were interrupted.

    Several members train side by side on a GPU, and one after another on a CPU; of several, those that failed before
    are left alone. SIGTERM saves the state and exits with 143. Under torchrun, all processes train one member together;
    with --torchrun Consort starts it, and ends with the exit code of the step.
    """
    from consort.errors import InputError
    from consort.train.settings import Settings

    listen = listener(log)
    with failures_told(listen, log):
        if torchrun and len(member) > 1:
            raise InputError(f"--torchrun trains one member in several processes, got {len(member)} members. Name one.")
        settings = Settings(checkpoint_seconds, checkpoint_steps, loader_workers, patience_seconds=patience,
                            members_per_gpu=members_per_gpu, deterministic=deterministic or None,
                            compile=compiled)
        if torchrun:
            _train_together(member[0], store, settings, images, log, processes)
        else:
            _train_here(member, store, settings, images, listen)


def _train_together(member: str, store: str, settings: "Settings", images: Path | None, log: str,
                    processes: int | None) -> None:
    from consort.train.torchrun import torchrun

    steps = settings.checkpoint_steps
    arguments = ["train", "--member", member, "--store", store, "--checkpoint-seconds",
                 str(settings.checkpoint_seconds), "--loader-workers", str(settings.loader_workers),
                 "--patience", str(settings.patience_seconds), "--log", log]
    arguments += ["--checkpoint-steps", str(steps)] if steps is not None else []
    arguments += ["--images", str(images)] if images is not None else []
    arguments += ["--deterministic"] if settings.deterministic else []
    arguments += ["--compile"] if settings.compile else []
    torchrun(arguments, processes)


def _train_here(named: list[str], store: str, settings: "Settings", images: Path | None,
                listen: "Listener") -> None:
    from consort import members
    from consort.train.torchrun import failure_noted, process_group

    with failure_noted():
        opened = open_store_at(store)
        wanted = [members.find(opened, name) for name in named]
        with process_group() as process:
            _train(opened, wanted, replace(settings, process=process), images, listen)


def _train(store: "Store", wanted: list[str], settings: "Settings", images: Path | None,
           listen: "Listener") -> None:
    """Train members; raises what the only one ended with, or, where each was told, what most ask to be done again."""
    from consort import members
    from consort.data.prepared import open_prepared
    from consort.errors import InputError, MemberFailed
    from consort.events import StepEnded, Trained

    failures: list[ConsortError] = []

    def ended(member: str, outcome: "MemberRecord | ConsortError") -> None:
        if isinstance(outcome, ConsortError):
            failures.append(outcome)
            if len(wanted) > 1:
                listen(StepEnded(type(outcome).__name__, str(outcome), outcome.exit_code, member))
        elif settings.process.rank == 0:
            listen(Trained(member, outcome.val_accuracy, outcome.train_seconds))

    left = []
    for member in wanted:
        if (record := members.read_record(store, member)) is not None:
            ended(member, record)
        elif len(wanted) > 1 and (reason := members.read_failure(store, member)) is not None:
            ended(member, MemberFailed(reason))  # a restart is for the others: this one would fail again
        else:
            left.append(member)
    specs = [members.read_spec(store, member) for member in left]
    if specs:
        if len({spec.data for spec in specs}) > 1:
            raise InputError("members that one process trains have the same data; these have several: "
                             f"{', '.join(sorted({spec.data for spec in specs}))}.")
        import torch

        from consort.train.step import train_members

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        settings = replace(settings, stop=stop_when_asked())
        data = open_prepared(store, specs[0].data, cache_folder(), images)
        train_members(store, specs, data, settings, listen, lambda spec, outcome: ended(spec.id, outcome))
    if failures:
        raise failures[0] if len(wanted) == 1 else Told(failures)


def predict(
    study: Annotated[Path | None, typer.Argument(
        metavar="[STUDY]", help="A study file, or NAME/RUN: all its finished members, and latencies.",
        show_default=False)] = None,
    member: Annotated[list[str], typer.Option("--member", help="Id of a finished member; may be repeated.",
                                              show_default=False)] = [],  # noqa: B006 - typer copies it
    store: StoreOption = DEFAULT_STORE,
    also: Annotated[list[str], typer.Option(metavar="NAME=FINGERPRINT", help="A further, prepared test set.",
                                            show_default=False)] = [],  # noqa: B006
    recompute: Annotated[bool, typer.Option("--recompute", help="Predict everything, and compare with what is stored."
                                            )] = False,
    no_latency: Annotated[bool, typer.Option("--no-latency", help="Do not measure a STUDY's latencies.")] = False,
    loader_workers: LoaderWorkersOption = 0,
    images: ImagesOption = None,
    data: DataOption = None,
    log: LogOption = "text",
) -> None:
    """Write members' missing logits, from their weights.

    With a STUDY: those of all its finished members, on its further test sets too, and the latencies that are not known
    of this machine. Quick where nothing is missing.
    """
    from consort import members
    from consort.errors import InputError
    from consort.run.answer import Predicting, further_test_sets, measure_latencies, predicted

    if study is None and not member:
        raise InputError("name what predicts: a STUDY (a file or NAME/RUN) for all its members, or --member.")
    bad = [a for a in also if "=" not in a]
    if bad:
        raise InputError(f"--also is NAME=FINGERPRINT, got {bad[0]!r}.")
    opened, further = open_store_at(store), dict(a.split("=", 1) for a in also)
    listen, run = listener(log), None if study is None else _planned(study, store, data)
    if run is None:
        records = [_finished(opened, members.find(opened, name)) for name in member]
    else:
        named = [members.read_record(opened, members.find(opened, name)) for name in member]
        records = [record for record in named if record is not None] if named else run.records()
        further = further_test_sets(run) | further
    how = Predicting(cache_folder(), recompute, loader_workers, images)
    for one in predicted(opened, records, further, how, listen, run.ref if run else "--member ..."):
        verdict = "identical" if one.identical else f"largest difference {one.largest_difference:.3g}"
        print(f"{one.member}  {one.test_set}: {verdict}, accuracy {one.stored_accuracy:.4f} stored, "
              f"{one.recomputed_accuracy:.4f} recomputed", flush=True)
    if run is not None and not no_latency:
        measure_latencies(run, records, listen)


def _finished(store: "Store", member: str) -> "MemberRecord":
    from consort import members
    from consort.errors import InputError

    record = members.read_record(store, member)
    if record is None:
        raise InputError(f"member {member} is not finished: there are no weights to predict with.")
    return record


def evaluate(study: StudyArgument, store: StoreOption = DEFAULT_STORE, data: DataOption = None,
             as_json: JsonOption = False) -> None:
    """Compare the ensembles of a STUDY, from logits."""
    from rich.console import Console

    from consort.documents import canonical_json
    from consort.run.answer import evaluate as evaluate_run
    from consort.screen.answer import print_answer

    run = _planned(study, store, data)
    summary = evaluate_run(run, "consort " + " ".join(sys.argv[1:]))
    if as_json:
        print(canonical_json(summary))
    else:
        print_answer(Console(), summary, run.store)


def report(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    output: Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Copy it into this folder too.",
                                                show_default=False)] = None,
    data: DataOption = None,
) -> None:
    """Write the report of a STUDY that was evaluated."""
    from consort.report import copy_report, write_report

    run = _planned(study, store, data)
    asked = run.store, run.study.name, run.plan.run
    for key in write_report(*asked):
        print(f"{run.store.uri}/{key}")
    if output is not None:
        print(f"copied to {copy_report(*asked, output)}")


def _planned(study: Path, store: str, data: str | None) -> "Run":
    from rich.console import Console

    from consort.cli.planning import planned_study

    return planned_study(open_store_at(store), study, Console(stderr=True), data).run

