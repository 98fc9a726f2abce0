"""The argument STUDY: a study file, or NAME/RUN of a run that was planned in the store."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consort.cli.options import cache_folder

if TYPE_CHECKING:
    from rich.console import Console

    from consort.run.plan import Plan
    from consort.run.run import Run
    from consort.store import Store
    from consort.study.file import Study

REF = r"[a-z0-9-]+/[a-z0-9]+"


@dataclass(frozen=True)
class Planned:
    """What a command works on."""

    run: "Run"
    level: int = 0
    """How often the study has grown."""


def planned_study(store: "Store", study: Path, console: "Console", data: str | None = None,
                  grow: bool = False, sampler: str | None = None) -> Planned:
    """Plan a study file, or open the plan of NAME/RUN; a file that exists goes before a run of its name.

    data, sampler: others than the file's. grow: add the seeds that the study's `grow` asks for, saying which.
    """
    from consort.run.grow import plan_growth
    from consort.run.plan import plan
    from consort.run.run import Run, open_run

    if _is_run(store, study):
        _refuse_change(study, data, sampler)
        base = open_run(store, study.as_posix(), cache_folder())
    else:
        loaded, text = read_study(study, data)
        if sampler is not None and loaded.search is not None:
            loaded = loaded.with_sampler(sampler)
        with preparation(console) as shown:
            planned = plan(store, loaded, study.parent, cache_folder(), shown, text)
        base = Run(planned, store, cache_folder())
    say_what_was_found(console, base.plan)
    if not grow:
        return Planned(base)
    growth = plan_growth(base)
    console.print(growth.words, highlight=False, markup=False, soft_wrap=True)
    return Planned(growth.run, growth.level)


def is_ref(study: Path) -> bool:
    """Whether this names a run in the store rather than a file."""
    return not study.is_file() and re.fullmatch(REF, study.as_posix()) is not None


def _is_run(store: "Store", study: Path) -> bool:
    """Whether a run is meant: not where a folder, perhaps of images, has a name that no run has. Raises InputError
    where only a run's NAME was given."""
    from consort.errors import InputError
    from consort.run.plan import planned_runs

    if is_ref(study):
        return not study.is_dir() or study.as_posix() in planned_runs(store)
    bare = re.fullmatch(r"[a-z0-9-]+", study.as_posix()) is not None and not study.exists()
    if bare and (runs := [ref for ref in planned_runs(store) if ref.split("/")[0] == study.name]):
        raise InputError(f"there is no study file {study}, but the store has runs of this name: {', '.join(runs[:4])}. "
                         "Name one of them.")
    return False


def read_study(path: Path, data: str | None) -> "tuple[Study, str]":
    """The study of a file and its text, with another data source where one was given."""
    from consort.data.builtin import BUILTIN
    from consort.store.files import expanded
    from consort.study.file import load_study

    study = load_study(path)
    if data is not None:
        as_it_is = data in BUILTIN or data.startswith("store:")
        source = data if as_it_is else str(expanded(data).resolve())
        study = study.model_copy(update={"data": study.data.model_copy(update={"source": source})})
    return study, path.read_text(encoding="utf-8-sig")


def say_what_was_found(console: "Console", plan: "Plan") -> None:
    """What is used of the images, what is not, and why."""
    from consort.data.prepared import told

    for name, text in told({plan.study.data.source: plan.data, **plan.also}).items():
        for line in text.splitlines():
            console.print(f"{name}: {line}", highlight=False, soft_wrap=True, markup=False)


def preparation(console: "Console") -> Any:
    """A context with a progress bar that appears when preparing takes long enough to report progress."""
    from consort.screen.answer import Bar

    return Bar(console, "preparing the data")


def _refuse_change(study: Path, data: str | None, sampler: str | None) -> None:
    from consort.errors import InputError

    if sampler is not None:
        raise InputError(f"--sampler is for study files: the run {study} has its sampler already.")
    if data is not None:
        raise InputError(f"--data is for study files: the run {study} has its data already. Give the study file, or "
                         "leave --data out.")
