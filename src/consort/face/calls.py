"""From a study to its results: `consort.plan`, `consort.open_run` and `consort.execute`."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from consort.errors import IncompleteRun, InputError
from consort.events import Event, unheard
from consort.local.target import LocalTarget
from consort.plurals import are, counted
from consort.run import plan as plans
from consort.run import run as runs
from consort.run import stages
from consort.run.results import Results
from consort.run.run import Run
from consort.screen.answer import Bar
from consort.screen.live import Screen
from consort.store import Store
from consort.store.environment import cache_folder, open_store_at, store_uri
from consort.study.file import Study, load_study

PathLike = str | os.PathLike[str]


def plan(study: Study | PathLike, store: Store | PathLike | None = None, *, folder: PathLike = ".",
         progress: bool = False) -> Run:
    """Prepare a study's data and write down what its members are; nothing is trained yet.

    study: a study file, or a `Study`, whose relative paths then start at `folder`. store: a folder, or
    s3://bucket/prefix with the credentials in the environment; by default $CONSORT_STORE, else ./consort-store. The
    same study on the same data is the same run. progress: show a bar where preparing takes long.

    Raises InputError, naming the key or the file, where the study or its data is not right.
    """
    if isinstance(study, Study):
        base, planned, text = Path(folder), study, study.to_toml()
    else:
        file = Path(study)
        base, planned, text = file.parent, load_study(file), file.read_text(encoding="utf-8-sig")
    to, cache = _opened(store), cache_folder()
    with Bar(Console(), "preparing the data") if progress else nullcontext(_unheard) as told:
        return Run(plans.plan(to, planned, base, cache, told, text), to, cache)


def open_run(ref: str, store: Store | PathLike | None = None) -> Run:
    """A run that was planned before, here, by a command or on a cluster, by its name NAME/RUN (`Run.ref`).

    Neither the study file nor the source of its data is needed. Raises InputError, with the nearest names, where the
    store has no such run.
    """
    return runs.open_run(_opened(store), ref, cache_folder())


def execute(run: Run, *, workers: int | None = None, progress: bool = False,
            listen: Callable[[Event], None] = unheard) -> Results:
    """Train the members that are missing side by side on this machine, compare every ensemble of them, and report.

    What the store has is not done again: after an interruption, the same call goes on. workers: how many members train
    at a time; by default what the study says, else one per core or GPU. progress: show what is going on, as
    `consort run` does. listen: is called with every event of `consort.events`, in this thread.

    Raises IncompleteRun where members are missing in the end; `Results(run)` has what the others say. Raises
    KeyboardInterrupt where it was interrupted, after the members in training saved their state.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise InputError(f"workers is how many members train at a time, a whole number of 1 or more, got {workers!r}.")
    command = f'consort.execute(consort.open_run("{run.ref}", "{run.store.uri}"))'
    with Screen(Console()) as screen:
        def told(event: Event) -> None:
            if progress:
                screen.listen(event)
            listen(event)

        _, missing = stages.execute(run, LocalTarget(told, command, workers))
    if missing:
        raise IncompleteRun(f"{len(missing)} of {counted(len(run.ids), 'member')} {are(len(missing))} missing; "
                            "consort.Results(run) has what the others say:\n"
                            + "\n".join(f"  {member}: {why}" for member, why in missing.items()))
    return Results(run)


def _opened(store: Store | PathLike | None) -> Store:
    if store is None or isinstance(store, str | os.PathLike):
        return open_store_at(store_uri() if store is None else os.fspath(store))
    return store


def _unheard(done: int, total: int) -> None:
    """Takes the progress of preparing where nobody asked for it."""
