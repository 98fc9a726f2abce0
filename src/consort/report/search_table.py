"""search.md, search-trials.csv and search-trials.parquet: what a search found, for a pull request and for programs."""

import csv
import io

from consort.answer.search import Answer
from consort.answer.search_rows import (
    COLUMNS,
    KINDS,
    arms_of,
    best_so_far,
    difference,
    ensembles,
    kinds,
    label,
    second_trainings,
    trial_rows,
)
from consort.report import units
from consort.report.table import cell, table

ARM_HEAD = ("Kind", "Sampler", "Trials", "Failed or stopped", "Best reward", "after trials", "Training",
            "Training MACs")
SECOND_HEAD = ("Kind", "Networks", "First reward", "Second reward", "Their mean", "First accuracy", "Second accuracy",
               "Named")


def search_markdown(results: dict, answer: Answer) -> str:
    """The answer, the winners on test images, their differences, and what every arm found."""
    parts = [
        f"# {cell(results['question'] or results['study'])}",
        f"**{cell(answer.headline)}**",
        "\n".join(f"- {cell(sentence)}" for sentence in answer.sentences),
        _winners(results),
        _differences(results),
        "## The search\n\n" + table(ARM_HEAD, arm_rows(results)),
        _second_trainings(results),
        f"Rewards are of short trainings on validation images: {reward_words(results['objective'])}.",
        table_error_words(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def arm_rows(results: dict) -> list[list[str]]:
    """What every arm did: kind, sampler, trials, those without a reward, best reward, when, time and MACs of training;
    a kind's second trainings after its arms. Columns: ARM_HEAD."""
    rows: list[list[str]] = []
    for kind in kinds(results):
        rows += [_arm_row(arm) for arm in arms_of(results, kind)]
        seconds = [row for row in second_trainings(results) if row["kind"] == kind and row["state"] is not None]
        if seconds:
            rows.append(_second_row(kind, seconds, results))
    return rows


def _arm_row(arm: dict) -> list[str]:
    trials, curve = arm["trials"], best_so_far(arm["trials"])
    best = max((reward for _, reward in curve), default=None)
    when = next((count for count, reward in curve if reward == best), None)
    return [KINDS[arm["kind"]], arm["sampler"] + (" (control)" if arm["control"] else ""), str(len(trials)),
            str(sum(trial["state"] != "done" for trial in trials)), _reward(best), units.plain(when),
            units.duration(sum(trial["train_seconds"] for trial in trials)), units.scaled(arm.get("train_macs"))]


def _second_row(kind: str, seconds: list[dict], results: dict) -> list[str]:
    best = max((row["reward_second"] for row in seconds if row["reward_second"] is not None), default=None)
    return [KINDS[kind], "second trainings", str(len(seconds)), str(sum(row["state"] != "done" for row in seconds)),
            _reward(best), units.UNKNOWN, units.duration(sum(row["train_seconds"] for row in seconds)),
            units.scaled(results["retraining"]["train_macs"].get(kind))]


def second_table(results: dict) -> list[list[str]]:
    """A row for every candidate that was trained a second time, with SECOND_HEAD."""
    return [[KINDS[row["kind"]], label(row["networks"]), _reward(row["reward"]), _reward(row["reward_second"]),
             _reward(row["reward_mean"]), units.percent(row["accuracy"]), units.percent(row["accuracy_second"]),
             "winner" if row["winner"] else row["reason"] or ""] for row in second_trainings(results)]


def _reward(value: float | None) -> str:
    return units.UNKNOWN if value is None else f"{value:.4f}"


def _second_trainings(results: dict) -> str:
    rows = second_table(results)
    return "## Second trainings\n\n" + table(SECOND_HEAD, rows) if rows else ""


def reward_words(objective: dict) -> str:
    """The reward as a formula with its numbers."""
    target, weight = objective["target_latency_ms"], objective["exponent"]
    formulas = {
        "soft": f"accuracy x (latency / {target:g} ms)^{-0.07 if weight is None else weight:g}",
        "hard": f"accuracy up to {target:g} ms, above it accuracy x (latency / {target:g} ms)"
                f"^{-1 if weight is None else weight:g}",
        "absolute": f"accuracy - {abs(-0.07 if weight is None else weight):g} x |latency / {target:g} ms - 1|",
        "constrained": f"accuracy up to {target:g} ms, above it less than any of those",
    }
    how = "its slowest member's" if objective["latency"] == "parallel" else "the sum over its members"
    return f"{formulas[objective['reward']]}; the latency of an ensemble is {how}"


def table_error_words(results: dict) -> str:
    """How well the latencies that the search saw are known; empty where whole networks were measured."""
    if not results["latency_table"]:
        return ""
    error, hardware = results["latency_table"]["error"], results["latency_table"]["hardware_id"]
    return (f"Latencies of trials are sums of measured blocks (hardware {hardware}). Against {error['n']} whole "
            f"networks measured beside them the sums are off by {error['mean_absolute_percent']:.1f} % in the mean "
            f"(bias {error['bias_percent']:+.1f} %, worst {error['worst_percent']:+.1f} %).")


def search_csv(results: dict) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(trial_rows(results))
    return text.getvalue().encode()


def search_parquet(results: dict) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    kinds_of = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds_of[kind]) for name, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(trial_rows(results), schema=schema), buffer)
    return buffer.getvalue()


def _winners(results: dict) -> str:
    rows = [[KINDS[kind], row["ensemble"],
             f"{units.percent(row['accuracy'])} {units.interval(row['low'], row['high'])}",
             units.milliseconds(row["parallel_latency_ms"]), units.milliseconds(row["serial_latency_ms"]),
             units.scaled(row["macs"])] for kind, row in ensembles(results).items()]
    if not rows:
        return ""
    head = ("Winner", "Networks", "Test accuracy", "Latency, parallel", "Latency, serial", "MACs")
    missing = [f"- missing: {cell(name)}: {cell(why)}" for name, why in sorted(results["final"]["missing"].items())]
    return "\n\n".join(["## The winners, trained again", table(head, rows), *(["\n".join(missing)] if missing else [])])


def _differences(results: dict) -> str:
    found = list(ensembles(results).items())
    rows = [[KINDS[kind], KINDS[other],
             f"{units.points(gain['accuracy'])} {units.interval(gain['low'], gain['high'], signed=True)}",
             anew_words(gain)]
            for i, (other, _) in enumerate(found) for kind, row in found[i + 1:] if (gain := difference(row, other))]
    head = ("Winner", "against", "Difference, points, these networks", "the same recipes trained again")
    return table(head, rows) if rows else ""


def anew_words(gain: dict) -> str:
    """The interval of a difference if its recipes were trained again, or why there is none."""
    anew = gain.get("anew")
    return units.interval(anew[0], anew[1], signed=True) if anew else gain.get("anew_unknown") or units.UNKNOWN
