"""What a person sees at the end of a run or search: a short table, the answer, and where the report is."""

from typing import Any

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table

from consort.store import Store, keys

ROWS = 14


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
    """The ensembles of one architecture and the best mixed ones, the answer in a sentence, and the report's place."""
    chosen = [r for r in summary["rows"] if r["test_set"] == "test" and r["combine"] == summary["combine"]]
    shown = [r for r in chosen if r["kind"] != "mixed" or r["pareto_macs"]]
    shown = sorted(shown, key=lambda r: (r["macs"], -r["accuracy_mean"]))
    if len(shown) > ROWS:
        shown = [r for r in shown if r["kind"] == "single" or r["pareto_macs"]][:ROWS]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("ensemble", "M MACs", "test accuracy %", "gain, points"):
        table.add_column(title, justify="left" if title == "ensemble" else "right", no_wrap=title != "ensemble")
    for row in shown:
        mark = " *" if row["pareto_macs"] else "  "
        table.add_row(row["ensemble"] + mark, f"{row['macs'] / 1e6:,.2f}",
                      f"{100 * row['accuracy_mean']:.2f} [{100 * row['accuracy_low']:.2f}, "
                      f"{100 * row['accuracy_high']:.2f}]", _gain(row))
    console.print()
    console.print(table)
    legend = ("gain: on the best single that costs no less; *: on the Pareto front, chosen on validation; intervals at "
              f"{summary['confidence']:.0%}; every ensemble is in the report")
    console.print(legend, style="dim", highlight=False, soft_wrap=True)
    console.print()
    console.print(summary["answer"], style="bold", highlight=False, soft_wrap=True)
    if summary["answers"][0].get("cascade"):
        console.print(summary["answers"][0]["cascade"], highlight=False, soft_wrap=True)
    report = keys.study_file(summary["study"], summary["run"], "report.html")
    if store.exists(report):
        console.print(f"\nreport: {store.uri}/{report}", highlight=False, soft_wrap=True)


def print_search_answer(console: Console, results: dict, store: Store) -> None:
    """The winners that were trained again, the answer in words, and the report's place."""
    from consort.report.search_answer import answer
    from consort.report.search_select import KINDS, LATENCIES, ensembles

    found, column = answer(results), LATENCIES[results["objective"]["latency"]]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("winner", "ms", "M MACs", "test accuracy %"):
        table.add_column(title, justify="left" if title == "winner" else "right", no_wrap=True)
    winners = ensembles(results)
    for kind, row in winners.items():
        latency = "" if row[column] is None else f"{row[column]:.3g}"
        table.add_row(KINDS[kind], latency, f"{row['macs'] / 1e6:,.2f}",
                      f"{100 * row['accuracy']:.2f} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]")
    console.print()
    if winners:
        console.print(table)
        for kind, row in winners.items():
            console.print(f"{KINDS[kind]}: {row['ensemble']}", style="dim", highlight=False, soft_wrap=True)
        console.print()
    console.print(found.headline, style="bold", highlight=False, soft_wrap=True)
    for sentence in found.sentences:
        console.print(sentence, highlight=False, soft_wrap=True)
    report = keys.study_file(results["study"], results["run"], "search.html")
    if store.exists(report):
        console.print(f"\nreport: {store.uri}/{report}", highlight=False, soft_wrap=True)


def _gain(row: dict) -> str:
    if row["gain_macs"] is None:
        return ""
    return f"{100 * row['gain_macs']:+.2f} [{100 * row['gain_macs_low']:+.2f}, {100 * row['gain_macs_high']:+.2f}]"
