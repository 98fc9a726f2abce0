"""What a person sees at the end of a run or search: a short table, the answer, and where the report is."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from consort.answer import sentences, stored
from consort.answer.amounts import format_count
from consort.answer.budgets import bound_words
from consort.answer.choices import Choice, Choices
from consort.answer.metric import NAMES, difference, number, signed
from consort.documents import canonical_json
from consort.report.units import milliseconds
from consort.store import Store, keys

VALUE_WIDTH, DIFFERENCE_WIDTH = 10, 24
"""Of the table of answers, in which names have room beside its numbers on a terminal of 80 columns."""


class Bar:
    """A progress bar that shows itself at the first report of progress."""

    def __init__(self, console: Console, text: str) -> None:
        self.progress = Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn(), console=console,
                                 transient=True, disable=not console.is_terminal)
        self.text = text
        self.task: Any = None

    def __enter__(self) -> "Bar":
        return self

    def __call__(self, done: int, total: int) -> None:
        if self.task is None:
            self.progress.start()
            self.task = self.progress.add_task(self.text, total=total or None)
        self.progress.update(self.task, completed=done)

    def __exit__(self, *error: object) -> None:
        self.progress.stop()


def print_answer(console: Console, summary: dict, store: Store) -> None:
    """What to deploy within each budget, the headline with what is to be known of it, and the report's place."""
    answered = stored.read(store, summary["study"], summary["run"])
    console.print()
    if answered is None:  # evaluated before there were choices
        console.print(summary["answer"], style="bold", highlight=False, markup=False, soft_wrap=True)
    else:
        found, _ = answered
        console.print(_table(found))
        console.print()
        print_choice(console, found, found.headline, found.notes)
    report = keys.study_file(summary["study"], summary["run"], "report.html")
    if store.exists(report):
        console.print(f"\nreport: {store.uri}/{report}", highlight=False, markup=False, soft_wrap=True)


def print_choice(console: Console, found: Choices, choice: Choice, notes: Sequence[str] = ()) -> None:
    """One choice: its sentence, what has to be known before believing it, why it is the choice, its members."""
    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    one = found.candidate(choice.candidate)
    say(choice.text, "bold")
    for note in notes:
        say(note, "yellow")
    say(choice.why)
    for line in sentences.intervals(choice, found):
        say(line)
    for line in sentences.promise(one, found):
        say(line)
    say(sentences.costs(one))
    say(f"members: {', '.join(one.members)}", "dim")


def choice_json(found: Choices, choice: Choice, notes: Sequence[str] = ()) -> str:
    """The same for programs: the choice, and whole candidates in place of their ids."""
    whole = {name: None if (id := getattr(choice, name)) is None else dataclasses.asdict(found.candidate(id))
             for name in ("candidate", "best", "partner", "alternative")}
    about = {name: getattr(found, name) for name in ("study", "run", "metric", "interval", "val_images", "test_images")}
    return canonical_json({**about, **dataclasses.asdict(choice), **whole, "notes": list(notes)})


def _table(found: Choices) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    metric = found.metric
    value = "test NLL" if metric == "nll" else "\n".join(textwrap.wrap(f"test {NAMES[metric]} %", VALUE_WIDTH))
    table.add_column("budget", overflow="fold")
    table.add_column("deploy", overflow="fold")
    for title in (value, "MACs", "ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(Text(f"{difference(metric)}\n[these networks]"), no_wrap=True)
    for choice in found.choices:
        one = found.candidate(choice.candidate)
        table.add_row(bound_words(choice.budget), one.label, number(metric, one.test.value),
                      format_count(one.costs.macs), _ms(one.costs.serial_ms), _against(found, choice))
    return table


def _ms(value: float | None) -> str:
    return "" if value is None else milliseconds(value).removesuffix(" ms")


def _against(found: Choices, choice: Choice) -> Text:
    """The difference, its interval for these very networks, by which something is deployed, and to what."""
    gain, metric = choice.gain, found.metric
    if gain is None or choice.alternative is None:
        return Text()
    value, low, high = (signed(metric, one) for one in (gain.value, gain.low, gain.high))
    against = f"against {found.candidate(choice.alternative).label}"
    lines = textwrap.wrap(against, DIFFERENCE_WIDTH, break_on_hyphens=False)
    return Text("\n".join([f"{value} [{low}, {high}]", *lines]))


def print_search_answer(console: Console, results: dict, store: Store) -> None:
    """The winners that were trained again, the answer in words, and the report's place."""
    from consort.answer.search import answer
    from consort.answer.search_rows import KINDS, LATENCIES, ensembles

    found, column = answer(results), LATENCIES[results["objective"]["latency"]]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    level = f"{100 * results['final']['confidence']:g} % interval" if results["final"] else ""
    for title in ("winner", "ms", "M MACs", "test accuracy %", level):
        table.add_column(title, justify="left" if title == "winner" else "right", no_wrap=True)
    winners = ensembles(results)
    for kind, row in winners.items():
        table.add_row(KINDS[kind], _ms(row[column]), f"{row['macs'] / 1e6:,.2f}",
                      f"{100 * row['accuracy']:.2f}", f"{100 * row['low']:.2f} to {100 * row['high']:.2f}")
    console.print()
    if winners:
        console.print(table)
        for kind, row in winners.items():
            console.print(f"{KINDS[kind]}: {row['ensemble']}", style="dim", highlight=False, markup=False,
                          soft_wrap=True)
        console.print()
    console.print(found.headline, style="bold", highlight=False, markup=False, soft_wrap=True)
    for sentence in found.sentences:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    report = keys.study_file(results["study"], results["run"], "search.html")
    if store.exists(report):
        console.print(f"\nreport: {store.uri}/{report}", highlight=False, markup=False, soft_wrap=True)
