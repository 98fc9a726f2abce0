"""consort train, predict, evaluate and report: the steps by themselves, as a job on a cluster runs them too."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consort.cli.app import (
    DEFAULT_STORE,
    DataOption,
    JsonOption,
    StoreOption,
    StudyArgument,
    app,
    cache_folder,
    open_store_at,
)

if TYPE_CHECKING:
    from consort.local.target import LocalRun
    from consort.places import Process
    from consort.records import MemberRecord
    from consort.store import Store

LogOption = Annotated[str, typer.Option("--log", metavar="text|json", help="Plain lines, or one JSON event a line.")]
ImagesOption = Annotated[Path | None, typer.Option(
    "--images", help="Where streamed images are, when not where they were prepared.", show_default=False)]


@app.command()
def train(
    member: Annotated[str, typer.Option("--member", help="Id of a planned member (`consort plan` lists them).")],
    store: StoreOption = DEFAULT_STORE,
    checkpoint_seconds: Annotated[float, typer.Option(min=0.1, help="Save the state this often.")] = 60.0,
    checkpoint_steps: Annotated[int | None, typer.Option(min=1, help="Save every N steps too.",
                                                         show_default=False)] = None,
    loader_workers: Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")] = 0,
    images: ImagesOption = None,
    log: LogOption = "text",
) -> None:
    """Train one member, or go on where it was interrupted.

    SIGTERM saves the state and exits with 143. Under torchrun, all processes train this one member together.
    """
    from consort import members
    from consort.errors import ConsortError
    from consort.records import event_line

    report = _reporter(log)
    try:
        opened = open_store_at(store)
        member_id = members.find(opened, member)
        with _process_group() as process:
            record = _train(opened, member_id, checkpoint_seconds, checkpoint_steps, loader_workers, images, report,
                            process)
    except ConsortError as e:
        if log == "json":
            print(event_line("error", kind=type(e).__name__, text=str(e), exit_code=e.exit_code), flush=True)
            sys.exit(e.exit_code)
        raise
    if process.rank == 0:
        report("finished", member=member_id, val_accuracy=record.val_accuracy, seconds=record.train_seconds)


def _train(store: "Store", member_id: str, seconds: float, steps: int | None, workers: int, images: Path | None,
           report: Callable[..., None], process: "Process") -> "MemberRecord":
    from consort import members

    spec = members.read_spec(store, member_id)
    done = members.read_record(store, member_id)
    if done is not None:
        return done
    import torch

    from consort.data.prepared import open_prepared
    from consort.train import Settings
    from consort.train import train as train_member

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    data = open_prepared(store, spec.data, cache_folder(), images)
    settings = Settings(seconds, steps, workers, process, lambda: bool(stopped))
    return train_member(store, spec, data, settings, report)


@contextmanager
def _process_group() -> "Iterator[Process]":
    """This process's place under torchrun, with the process group open while the context lasts."""
    from consort.places import Process

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Process()
        return
    import torch
    import torch.distributed as dist

    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Process(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()


@app.command()
def predict(
    member: Annotated[list[str], typer.Option("--member", help="Id of a finished member; may be repeated.")],
    store: StoreOption = DEFAULT_STORE,
    also: Annotated[list[str], typer.Option(metavar="NAME=FINGERPRINT", help="A further, prepared test set.",
                                            show_default=False)] = [],  # noqa: B006 - typer copies it
    recompute: Annotated[bool, typer.Option("--recompute", help="Predict everything, and compare with what is stored."
                                            )] = False,
    loader_workers: Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")] = 0,
    images: ImagesOption = None,
    log: LogOption = "text",
) -> None:
    """Write members' missing logits, from their weights."""
    from consort import members
    from consort.data.prepared import open_prepared
    from consort.errors import InputError, IntegrityError
    from consort.predict import predict as predict_member

    opened = open_store_at(store)
    bad = [a for a in also if "=" not in a]
    if bad:
        raise InputError(f"--also is NAME=FINGERPRINT, got {bad[0]!r}.")
    others = {a.split("=")[0]: open_prepared(opened, a.split("=")[1], cache_folder()) for a in also}
    report = _reporter(log)
    different = []
    for name in member:
        spec = members.read_spec(opened, members.find(opened, name))
        data = open_prepared(opened, spec.data, cache_folder(), images)
        for c in predict_member(opened, spec.id, data, others, recompute, loader_workers, report):
            verdict = "identical" if c.identical else f"largest difference {c.largest_difference:.3g}"
            print(f"{c.member}  {c.test_set}: {verdict}, accuracy {c.stored_accuracy:.4f} stored, "
                  f"{c.recomputed_accuracy:.4f} recomputed", flush=True)
            different += [c] if not c.agrees else []
    if different:
        raise IntegrityError(f"the weights and the stored logits of {different[0].member} do not belong together "
                             f"({different[0].test_set} differs by up to {different[0].largest_difference:.3g}). "
                             f"`consort rm {different[0].member}` and run the study again.")


@app.command()
def evaluate(study: StudyArgument, store: StoreOption = DEFAULT_STORE, data: DataOption = None,
             json: JsonOption = False) -> None:
    """Compare the ensembles of a STUDY, from logits."""
    from rich.console import Console

    from consort.cli.answer import print_answer
    from consort.records import canonical_json

    target = _target(study, store, data)
    summary = target.evaluate()
    if json:
        print(canonical_json(summary))
    else:
        print_answer(Console(), summary, target.store)


@app.command()
def report(study: StudyArgument, store: StoreOption = DEFAULT_STORE, data: DataOption = None) -> None:
    """Write the report of a STUDY that was evaluated."""
    from consort.report import write_report

    target = _target(study, store, data)
    for key in write_report(target.store, target.plan.study.name, target.plan.run):
        print(f"{target.store.uri}/{key}")


def _target(study: Path, store: str, data: str | None) -> "LocalRun":
    from rich.console import Console

    from consort.cli.run import plan_study, read_study
    from consort.local.target import LocalRun

    opened, console = open_store_at(store), Console(stderr=True)
    loaded, text = read_study(study, data)
    plan = plan_study(opened, loaded, study, console)
    return LocalRun(opened, plan, cache_folder(), console, text, "consort " + " ".join(sys.argv[1:]))


def _reporter(log: str) -> Callable[..., None]:
    from consort.errors import unknown_name

    reporters = {"text": text_report, "json": json_report}
    if log not in reporters:
        raise unknown_name("kind of --log", log, reporters)
    return reporters[log]


def json_report(event: str, **values: Any) -> None:
    from consort.records import event_line

    print(event_line(event, **values), flush=True)


def text_report(event: str, **values: Any) -> None:
    shown = "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                      for name, value in values.items())
    print(f"{event}  {shown}", flush=True)
