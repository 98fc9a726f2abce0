"""consort run, plan and init: a study from its file to its answer."""

import signal
import sys
from importlib.resources import files
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
    from rich.console import Console

    from consort.plan import Plan
    from consort.store import Store
    from consort.study import Study


@app.command()
def run(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    workers: Annotated[int | None, typer.Option(
        "--workers", "-j", min=1, help="Members trained side by side; by default one per core or GPU.")] = None,
    only: Annotated[str | None, typer.Option(
        "--only", metavar="members|evaluate|report", help="Do one stage of the three.")] = None,
    data: DataOption = None,
) -> None:
    """Train a STUDY's members, compare ensembles, report.

    Every ensemble of the trained members is compared with the single networks, at equal MACs, latency and training.
    What the store holds already is not done again: run the same command after an interruption, or with more seeds.
    """
    from rich.console import Console

    from consort.errors import IncompleteRun, unknown_name
    from consort.local.target import STAGES, LocalRun

    if only is not None and only not in STAGES:
        raise unknown_name("stage", only, STAGES)
    console = Console()
    opened = open_store_at(store)
    loaded, text = read_study(study, data)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        plan = plan_study(opened, loaded, study, console)
        target = LocalRun(opened, plan, cache_folder(), console, text, "consort " + " ".join(sys.argv[1:]), workers)
        summary, missing = target.execute(only)
    except KeyboardInterrupt:
        console.print("\nstopped; members in training saved their state. The same command goes on from there.",
                      soft_wrap=True)
        raise typer.Exit(130) from None
    if summary:
        from consort.cli.answer import print_answer

        print_answer(console, summary, opened)
    if missing:
        raise IncompleteRun(f"{len(missing)} of {len(plan.specs)} members are missing; what finished is kept:\n"
                            + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


@app.command()
def plan(study: StudyArgument, store: StoreOption = DEFAULT_STORE, data: DataOption = None,
         json: JsonOption = False) -> None:
    """Prepare a STUDY's data and list its members."""
    from rich.console import Console

    from consort import members
    from consort.records import canonical_json

    opened = open_store_at(store)
    planned = plan_study(opened, read_study(study, data)[0], study, Console(stderr=True))
    states = {s.id: "done" if members.read_record(opened, s.id) else "failed" if members.read_failure(opened, s.id)
              else "to import" if s.id in planned.weights else "to train" for s in planned.specs}
    if json:
        print(canonical_json({"study": planned.study.name, "run": planned.run, "data": planned.data.fingerprint,
                              "members": [{"id": m, "state": state} for m, state in states.items()]}))
        return
    for member, state in states.items():
        print(f"{member:50} {state}")


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


def read_study(path: Path, data: str | None) -> "tuple[Study, str]":
    """The study and its text, with another data source where one was given."""
    from consort.study import load_study

    study = load_study(path)
    if data is not None:
        source = data if data in ("digits", "cifar10", "cifar100") else str(Path(data).expanduser().resolve())
        study = study.model_copy(update={"data": study.data.model_copy(update={"source": source})})
    return study, path.read_text()


def plan_study(store: "Store", study: "Study", path: Path, console: "Console") -> "Plan":
    """Plan a study, showing how far the preparation of its data is."""
    from consort.plan import plan

    with preparation(console) as shown:
        return plan(store, study, path.parent, cache_folder(), shown)


def preparation(console: "Console") -> Any:
    """A context with a progress bar that appears when preparing takes long enough to report progress."""
    from consort.cli.answer import Bar

    return Bar(console, "preparing the data")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
