"""table.md: the answers and the rows that carry them, for a README or a pull request."""

import html

from consort.answer.amounts import format_count, format_ms
from consort.answer.budgets import bound_words
from consort.answer.choices import Choices, Confidences
from consort.answer.metric import NAMES, difference
from consort.answer.sentences import named
from consort.report.select import main_rows
from consort.report.units import UNKNOWN, decimal, interval, milliseconds, percent, points, scaled

COLUMNS = ("Ensemble", "MACs", "Latency, parallel", "Latency, serial", "Training MACs", "Subsets", "Test accuracy",
           "NLL", "Best single that costs no more", "Gain, points")
CHOICE_COLUMNS = ("Within", "Deploy", "Test {name}", "MACs", "Latency, serial", "Against",
                  "{difference}, these networks", "the same recipes trained again")
CONFIDENCE_COLUMNS = ("Sure by", "Validation accuracy", "Test accuracy")


def table_markdown(summary: dict, found: Choices | None = None) -> str:
    """Headline with its notes, the choices within all budgets, singles with uniform ensembles and the front, fair
    pairs. found: None of a run that was evaluated before there were choices.

    Rows: the first combine method on the test split; other rows are in results.csv.
    """
    confidence = f"{100 * summary['confidence']:g} %"
    rows = [row for row in main_rows(summary) if row["kind"] != "mixed" or row["pareto_macs"]]
    parts = [
        f"# {cell(summary['question'] or summary['study'])}",
        f"**{cell(summary['answer'])}**",
        "\n".join(f"> {cell(note)}" for note in summary["notes"]),
        "\n".join(f"- {cell(answer['text'])}" for answer in summary["answers"][1:]),
        _choices(found) if found else "",
        _confidences(found.confidences) if found and found.confidences else "",
        table(COLUMNS, [_row(row) for row in rows]),
        f"{cell(summary['combine'].capitalize())} mean of the members' predictions. Accuracy and NLL: mean over the "
        f"subsets of seeds on {summary['test_images']:,} test images, with the {confidence} bootstrap interval over "
        f"those images. An asterisk marks the front in accuracy and MACs, chosen on {summary['val_images']:,} "
        "validation images. Gains have simultaneous intervals: all of a column are inside theirs at once, for these "
        "very networks on other images like the test images. One that contains 0 is too close to call.",
        _fair_pairs(summary["fair_pairs"]),
        _missing(summary["missing"]),
        f"What is recommended, as a folder that runs: `consort export {found.study}/{found.run} -o bundle`." if found
        else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _choices(found: Choices) -> str:
    """What is deployed within each budget, with the two intervals of its difference."""
    rows, nats = [], found.metric == "nll"
    shown = decimal if nats else percent
    for choice in found.choices:
        one, over = found.candidate(choice.candidate), choice.gain
        other = None if choice.alternative is None else found.candidate(choice.alternative)
        ms, anew = one.costs.serial_ms, over.anew if over else None
        rows.append([bound_words(choice.budget), f"{one.id}: {named(one)}",
                     f"{shown(one.test.value)} {interval(one.test.value_low, one.test.value_high, nats=nats)}",
                     format_count(one.costs.macs), UNKNOWN if ms is None else format_ms(ms),
                     named(other) if other else UNKNOWN,
                     f"{points(over.value, nats)} {interval(over.low, over.high, True, nats)}" if over else UNKNOWN,
                     interval(anew.low, anew.high, True, nats) if anew else (over and over.anew_unknown) or UNKNOWN])
    head = tuple(text.format(name=NAMES[found.metric], difference=difference(found.metric).capitalize())
                 for text in CHOICE_COLUMNS)
    about = [] if found.metric == "accuracy" else ["The choices are by this metric; what follows is about accuracy."]
    return "\n\n".join(["## Choices", table(head, rows), *about,
                        f"To take one: `consort export {found.study}/{found.run} ID -o bundle`."])


def _confidences(found: Confidences) -> str:
    """What the cascades of one ensemble reach by each way to be sure."""
    rows = [[one.name, percent(one.val_accuracy), percent(one.test_accuracy)] for one in found.each]
    return "\n\n".join([
        "## When a cascade is sure", table(CONFIDENCE_COLUMNS, rows),
        f"Cascades of {cell(found.ensemble)}: means over {found.bounds} bounds on the mean MACs, in even steps between "
        "the cheapest member alone and every member; within each the best cascade on validation. A cascade without a "
        "promise decides by what is best for it there."])


def _row(row: dict) -> list[str]:
    return [
        row["ensemble"] + (" *" if row["pareto_macs"] else ""),
        scaled(row["macs"]),
        milliseconds(row["latency_parallel_ms"]),
        milliseconds(row["latency_serial_ms"]),
        scaled(row["train_macs"]),
        str(row["num_subsets"]),
        f"{percent(row['accuracy_mean'])} {interval(row['accuracy_low'], row['accuracy_high'])}",
        decimal(row["nll_mean"]),
        row["versus_macs"] or UNKNOWN,
        f"{points(row['gain_macs'])} {interval(row['gain_macs_low'], row['gain_macs_high'], signed=True)}",
    ]


def _fair_pairs(pairs: list[dict]) -> str:
    if not pairs:
        return ""
    header = ("Three of width k", "MACs", "Accuracy", "One of width 2k", "MACs", "Accuracy", "Combined by",
              "Gain, points, these networks", "the same recipes trained again")
    rows = [[pair["ensemble"], scaled(pair["macs"]), percent(pair["accuracy"]),
             pair["versus"], scaled(pair["versus_macs"]), percent(pair["versus_accuracy"]), pair["combine"],
             f"{points(pair['gain'])} {interval(pair['low'], pair['high'], signed=True)}",
             interval(pair["anew"]["low"], pair["anew"]["high"], signed=True) if pair.get("anew")
             else pair.get("anew_unknown") or UNKNOWN]
            for pair in pairs]
    return "## Three small ones against one of twice the width\n\n" + table(header, rows)


def _missing(missing: dict[str, str]) -> str:
    if not missing:
        return ""
    lines = [f"- {cell(name)}: {cell(why)}" for name, why in sorted(missing.items())]
    return "## Missing members\n\n" + "\n".join(lines)


def table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    head = [_line(header), "|" + " --- |" * len(header)]
    return "\n".join([*head, *(_line(row) for row in rows)])


def _line(texts: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(map(cell, texts)) + " |"


def cell(text: str) -> str:
    """One line of Markdown that cannot end its cell or start a tag."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
