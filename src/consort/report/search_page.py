"""search.html: one file that needs nothing else. The trials are embedded as JSON, search.js draws them."""

import json
import math
from collections import Counter
from typing import Any

from consort.answer.search import Answer
from consort.answer.search_rows import (
    COLUMNS,
    KINDS,
    LATENCIES,
    arms_of,
    best_so_far,
    difference,
    ensembles,
    front,
    kinds,
    leaders,
    reward_floor,
    trial_rows,
)
from consort.costs.conditions import parse_size
from consort.ensembles.bounds import wilson
from consort.report.document import document, gain_scale, rounded
from consort.report.search_drawing import drawing
from consort.report.search_table import (
    ARM_HEAD,
    SECOND_HEAD,
    anew_words,
    arm_rows,
    reward_words,
    second_table,
    table_error_words,
)

MAX_ROW_BYTES = 1_200_000
"""The page stays under 2 MB: this much is for trials."""
WINNER_COLUMNS = ("kind", "ensemble", "accuracy", "low", "high", "parallel_latency_ms", "serial_latency_ms", "macs")


def search_html(results: dict, answer: Answer, picture: bytes) -> str:
    """The whole page, with a PNG for readers without JavaScript. What came from the results is escaped."""
    data, rewards = embedded_trials(results), _rewards(results)
    differences = _differences(results)
    return document("search.html", ("chart.js", "table.js", "search.js"), data, picture, {
        **results,
        "headline": answer.headline,
        "sentences": answer.sentences,
        "kinds": KINDS,
        "winners": ensembles(results),
        "differences": differences,
        "difference_scale": gain_scale(differences),
        "reward": reward_words(results["objective"]),
        "arm_head": ARM_HEAD,
        "arms_table": arm_rows(results),
        "second_head": SECOND_HEAD,
        "second_table": second_table(results),
        "below_floor": sum(reward < data["floor"] for reward in rewards),
        "drawings": _drawings(results),
        "latency_words": table_error_words(results),
        "rows_left_out": sum(len(arm["trials"]) for arm in results["arms"]) - len(data["rows"]),
        "context": _context(results),
    })


def embedded_trials(results: dict) -> dict[str, Any]:
    """What search.js draws. Where all trials would make the page too large, those of the highest rewards stay."""
    rows = _plotted_rows(results)
    columns, chosen, room = list(rows[0]) if rows else list(COLUMNS), [], MAX_ROW_BYTES
    for row in sorted(rows, key=lambda row: -math.inf if row["reward"] is None else row["reward"], reverse=True):
        values = [rounded(row[name]) for name in columns]
        room -= len(json.dumps(values))
        if room < 0:
            break
        chosen.append(values)
    rewards = _rewards(results)
    floor, highest = (reward_floor(rewards), max(rewards)) if rewards else (0.0, 1.0)
    margin = 0.06 * (highest - floor) or 0.01
    return {
        "kinds": KINDS, "columns": columns, "rows": chosen,
        "trials": max((len(arm["trials"]) for arm in results["arms"]), default=0),
        "floor": floor, "rewards": [floor - margin, highest + margin],
        "curves": [{"kind": kind, "control": arm["control"], "points": best_so_far(arm["trials"])}
                   for kind in kinds(results) for arm in arms_of(results, kind)],
        "target": results["objective"]["target_latency_ms"], "latency": LATENCIES[results["objective"]["latency"]],
        "winners": [{name: rounded(row[name]) for name in WINNER_COLUMNS} for row in ensembles(results).values()],
    }


def _plotted_rows(results: dict) -> list[dict]:
    """The rows of the tables, with the interval of the accuracy, and whether a trial is on its kind's front."""
    rows = trial_rows(results)
    fronts = {(kind, how): set(front((row[column], row["accuracy"]) for row in rows if row["kind"] == kind))
              for kind in kinds(results) for how, column in LATENCIES.items()}
    for row in rows:
        known = row["accuracy"] is not None
        low, high = wilson(row["accuracy"], results["val_images"], results["confidence"]) if known else (None, None)
        row |= {"accuracy_low": low, "accuracy_high": high}
        row |= {f"front_{how}": known and (row[column], row["accuracy"]) in fronts[row["kind"], how]
                for how, column in LATENCIES.items()}
    return rows


def _rewards(results: dict) -> list[float]:
    return [trial["reward"] for arm in results["arms"] for trial in arm["trials"] if trial["reward"] is not None]


def _differences(results: dict) -> list[dict]:
    """Every pair of winners once, the later kind first."""
    found = list(ensembles(results).items())
    return [{"kind": kind, "minus": other, "gain": gain["accuracy"], "low": gain["low"], "high": gain["high"],
             "anew": anew_words(gain), "verdict": _ends(gain.get("anew"))}
            for i, (other, _) in enumerate(found) for kind, row in found[i + 1:] if (gain := difference(row, other))]


def _ends(anew: list[float] | None) -> dict[str, float | None]:
    return {"low": anew[0], "high": anew[1]} if anew else {"low": None, "high": None}


def _drawings(results: dict) -> dict[str, list[dict]]:
    side = parse_size(results["input"])[0]
    return {kind: [{"label": f"{count} x {name}", "svg": drawing(name, side)} for name, count in Counter(names).items()]
            for kind, names in leaders(results).items()}


def _context(results: dict) -> dict[str, Any]:
    ended = [trial for arm in results["arms"] for trial in arm["trials"]]
    return {
        "objective": results["objective"], "members of an ensemble": results["members"], "input": results["input"],
        "hardware of the latencies": results["hardware_id"], "validation images": results["val_images"],
        "versions": ended[-1]["versions"] if ended else {},
    }
