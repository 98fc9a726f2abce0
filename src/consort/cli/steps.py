"""consort train, predict, evaluate and report: the steps by themselves, as a job on a cluster runs them too."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import (
    DEFAULT_STORE,
    DataOption,
    ImagesOption,
    JsonOption,
    LogOption,
    StoreOption,
    StudyArgument,
    cache_folder,
    open_store_at,
)
from consort.cli.reporting import listener
from consort.cli.signals import stop_when_asked

if TYPE_CHECKING:
    from consort.events import Listener
    from consort.members.records import MemberRecord
    from consort.run.run import Run
    from consort.store import Store
    from consort.train.process import Process


def train(
    member: Annotated[str, typer.Option("--member", help="Id of a planned member (`consort plan` lists them).")],
    store: StoreOption = DEFAULT_STORE,
    checkpoint_seconds: Annotated[float, typer.Option(min=0.1, help="Save the state this often.")] = 60.0,
    checkpoint_steps: Annotated[int | None, typer.Option(min=1, help="Save every N steps too.",
                                                         show_default=False)] = None,
    loader_workers: Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")] = 0,
    images: ImagesOption = None,
    torchrun: Annotated[bool, typer.Option(
        "--torchrun", help="As several processes: those that PET_* asks for, or --processes on this machine.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="With --torchrun: processes on this machine.",
                                                  show_default=False)] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for another process that trains this member."
                                            )] = 0.0,
    log: LogOption = "text",
) -> None:
    """Train one member, or go on where it was interrupted.

    SIGTERM saves the state and exits with 143. Under torchrun, all processes train this one member together; with
    --torchrun Consort starts it, and ends with the exit code of the step.
    """
    from consort.errors import ConsortError
    from consort.events import StepEnded
    from consort.train.torchrun import kind_of

    listen = listener(log)
    try:
        if torchrun:
            _train_together(member, store, checkpoint_seconds, checkpoint_steps, loader_workers, images, log, processes,
                            patience)
        else:
            _train_here(member, store, checkpoint_seconds, checkpoint_steps, loader_workers, images, listen, patience)
    except ConsortError as e:
        if log == "json" and os.environ.get("RANK", "0") == "0":
            listen(StepEnded(kind_of(e), str(e), e.exit_code))
            sys.exit(e.exit_code)
        raise


def _train_together(member: str, store: str, seconds: float, steps: int | None, workers: int, images: Path | None,
                    log: str, processes: int | None, patience: float) -> None:
    from consort.train.torchrun import torchrun

    arguments = ["train", "--member", member, "--store", store, "--checkpoint-seconds", str(seconds),
                 "--loader-workers", str(workers), "--patience", str(patience), "--log", log]
    arguments += ["--checkpoint-steps", str(steps)] if steps is not None else []
    arguments += ["--images", str(images)] if images is not None else []
    torchrun(arguments, processes)


def _train_here(member: str, store: str, seconds: float, steps: int | None, workers: int, images: Path | None,
                listen: "Listener", patience: float) -> None:
    from consort import members
    from consort.events import Trained
    from consort.train.torchrun import failure_noted, process_group

    with failure_noted():
        opened = open_store_at(store)
        member_id = members.find(opened, member)
        with process_group() as process:
            record = _train(opened, member_id, seconds, steps, workers, images, listen, process, patience)
        if process.rank == 0:
            listen(Trained(member_id, record.val_accuracy, record.train_seconds))


def _train(store: "Store", member_id: str, seconds: float, steps: int | None, workers: int, images: Path | None,
           listen: "Listener", process: "Process", patience: float) -> "MemberRecord":
    from consort import members

    done = members.read_record(store, member_id)
    if done is not None:
        return done
    spec = members.read_spec(store, member_id)
    import torch

    from consort.data.prepared import open_prepared
    from consort.train.loop import Settings
    from consort.train.loop import train as train_member

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    data = open_prepared(store, spec.data, cache_folder(), images)
    settings = Settings(seconds, steps, workers, process, stop_when_asked(), patience)
    return train_member(store, spec, data, settings, listen)


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
    loader_workers: Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")] = 0,
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

