"""consort answer: what to deploy within a budget, from what the store holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    MacsOption,
    MbOption,
    MsOption,
    ParallelOption,
    ParamsOption,
    StoreOption,
    WorstOption,
    open_store_at,
)

if TYPE_CHECKING:
    from consort.answer.choices import Choices
    from consort.answer.evidence import Evidence
    from consort.store import Store


def answer(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A study file, or NAME/RUN of a run in the store.",
                                        show_default=False)],
    store: StoreOption = DEFAULT_STORE,
    macs: MacsOption = None,
    ms: MsOption = None,
    parallel: ParallelOption = False,
    params: ParamsOption = None,
    mb: MbOption = None,
    worst: WorstOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what to deploy within a budget, and how sure that is.

    Any bounds together; without any, without a budget. Nothing is trained or measured.
    """
    from rich.console import Console

    from consort.answer.decision import decide, notes
    from consort.screen.answer import choice_json, print_choice

    budget = budget_of(macs, ms, parallel, params, mb, worst)
    found, evidence = _answered(open_store_at(store), run)
    choice = decide(found, evidence, budget)
    said = notes(found, evidence, choice)
    if as_json:
        print(choice_json(found, choice, said))
    else:
        print_choice(Console(), found, choice, said)


def budget_of(macs: str | None, ms: float | None, parallel: bool, params: str | None, mb: float | None,
              worst: bool) -> dict[str, float]:
    """Bounds on costs, from the options."""
    from consort.errors import InputError
    from consort.study.answer import amount

    def counted(option: str, text: str | None) -> float | None:
        try:
            return None if text is None else amount(text)
        except ValueError as e:
            raise InputError(f"{option}: {e}.") from e

    if parallel and (ms is None or worst):
        raise InputError("--parallel goes with --ms and without --worst: it bounds the latency with one device per "
                         "member.")
    latency = "parallel_ms" if parallel else "serial_worst_ms" if worst else "serial_ms"
    given = {"macs_worst" if worst else "macs": counted("--macs", macs), latency: ms,
             "params": counted("--params", params), "bytes": None if mb is None else 1e6 * mb}
    return {name: bound for name, bound in given.items() if bound is not None}


def _answered(store: "Store", run: Path) -> "tuple[Choices, Evidence]":
    """As stored, which is quick; else from the logits."""
    from rich.console import Console

    from consort.answer import stored
    from consort.cli.planning import is_ref, planned_study
    from consort.run.choices import choices

    if is_ref(run) and (known := stored.read(store, *run.as_posix().split("/"))) is not None:
        return known
    return choices(planned_study(store, run, Console(stderr=True)).run)
