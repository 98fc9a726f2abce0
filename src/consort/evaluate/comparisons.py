"""Rows against rows: which single an ensemble is compared with, by how much it gains, and the answer in words.

A partner is chosen by cost and validation accuracy; the test set only says how large the gain is.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.ensembles.metrics import interval
from consort.evaluate.rows import BUDGETS, Row

DETAILED_FROM = 5000
"""Test images from which a percentage gets two decimals: one image is then 0.02 points or less."""


@dataclass(frozen=True)
class Comparable:
    """The rows of one test set and method, with their accuracies in the same bootstrap resamples."""

    rows: list[Row]
    resampled: np.ndarray
    """float64 [resamples, rows], one column per row; all columns share the resamples of the test images."""
    confidence: float

    def gain(self, one: int, other: int) -> tuple[float, float, float]:
        """accuracy_mean of row `one` minus that of row `other`, with its paired bootstrap interval."""
        low, high = interval(self.resampled[:, one] - self.resampled[:, other], self.confidence)
        return self.rows[one]["accuracy_mean"] - self.rows[other]["accuracy_mean"], float(low), float(high)

    def best(self, numbers: Sequence[int]) -> int:
        """Of these rows the best on validation: highest accuracy, then lowest NLL, then fewest MACs."""
        return min(numbers, key=lambda i: (-self.rows[i]["val_accuracy_mean"], self.rows[i]["val_nll_mean"],
                                           self.rows[i]["macs"]))

    def singles(self) -> list[int]:
        return [number for number, row in enumerate(self.rows) if row["kind"] == "single"]


def fill_in(found: Comparable) -> None:
    """Complete the rows: the interval of their accuracy, and for each budget the best single that costs no less."""
    low, high = interval(found.resampled, found.confidence)
    for number, row in enumerate(found.rows):
        row["accuracy_low"], row["accuracy_high"] = float(low[number]), float(high[number])
        for budget in BUDGETS:
            versus = best_single(found, number, budget)
            gain = found.gain(number, versus) if versus is not None else (None, None, None)
            row[f"versus_{budget}"] = found.rows[versus]["ensemble"] if versus is not None else None
            row[f"gain_{budget}"], row[f"gain_{budget}_low"], row[f"gain_{budget}_high"] = gain


def best_single(found: Comparable, number: int, budget: str) -> int | None:
    """The best single, by validation, that costs no less in this budget than the row; None where there is none or it
    is the row itself."""
    column = BUDGETS[budget]
    cost = found.rows[number][column]
    if cost is None:
        return None
    # Serial latency is a sum of floats: a rounding error must not make a single dearer than itself.
    as_dear = [i for i in found.singles()
               if (its := found.rows[i][column]) is not None and its >= cost * (1 - 1e-9)]
    versus = found.best(as_dear) if as_dear else None
    return None if versus == number else versus


def answers(found: Comparable, num_images: int) -> list[dict]:
    """For each MACs budget that a single architecture sets, largest first: what to deploy, and how sure that is."""
    budgets = sorted({found.rows[i]["macs"] for i in found.singles()}, reverse=True)
    return [_answer(found, budget, num_images) for budget in budgets]


def _answer(found: Comparable, budget: int, num_images: int) -> dict:
    """gain is the accuracy of `ensemble` (what to deploy) minus that of `versus`: the best single that costs no less,
    or the best ensemble within the budget where a single is to be deployed."""
    within = [i for i, row in enumerate(found.rows) if row["macs"] <= budget]
    chosen = found.best(within)
    row = found.rows[chosen]
    if row["kind"] == "single":
        ensembles = [i for i in within if found.rows[i]["kind"] != "single"]
        versus = found.best(ensembles) if ensembles else None
    else:
        versus = best_single(found, chosen, "macs")
    gain, low, high = found.gain(chosen, versus) if versus is not None else (None, None, None)
    other = found.rows[versus] if versus is not None else None
    resolved = low is not None and high is not None and (low > 0 or high < 0)
    answer = {"budget_macs": budget, "ensemble": row["ensemble"], "versus": other["ensemble"] if other else None,
              "accuracy": row["accuracy_mean"], "versus_accuracy": other["accuracy_mean"] if other else None,
              "gain": gain, "low": low, "high": high, "resolved": resolved}
    decimals = 2 if num_images >= DETAILED_FROM else 1
    return {"text": _sentence(answer, row["kind"] == "single", decimals), **answer,
            "cascade": _cascade_sentence(row, decimals)}


def _cascade_sentence(row: dict, decimals: int) -> str | None:
    """What the chosen members give when they are asked in order and may stop early; None for a single."""
    if row["cascade_macs"] is None:
        return None
    if row["cascade_threshold"] is None:
        return "As a cascade its members could not stop early on validation without losing accuracy."
    return (f"As a cascade (members asked in order, stopping at a confidence of {row['cascade_threshold']:.3g}) the "
            f"members chosen on validation reach {100 * row['cascade_accuracy']:.{decimals}f} % for "
            f"{format_macs(row['cascade_macs'])} MACs on average, against {100 * row['accuracy']:.{decimals}f} % for "
            f"{format_macs(row['macs'])} when all are asked.")


def _sentence(answer: dict, single: bool, decimals: int) -> str:
    def percent(share: float) -> str:
        return f"{100 * share:.{decimals}f} %"

    def points(share: float) -> str:
        return f"{round(100 * share, decimals) + 0.0:+.{decimals}f}"

    deploy = f"Under {format_macs(answer['budget_macs'])} MACs deploy {answer['ensemble']}: " \
             f"{percent(answer['accuracy'])}"
    if answer["versus"] is None:
        return f"{deploy}; no ensemble costs as little."
    gain, low, high = answer["gain"], answer["low"], answer["high"]
    versus, reached = answer["versus"], percent(answer["versus_accuracy"])
    if single:
        text = (f"{deploy}; the best ensemble within the budget ({versus}) has {reached}, {points(-gain)} points "
                f"[{points(-high)}, {points(-low)}].")
    else:
        text = (f"{deploy} against {reached} for the best single that costs no less ({versus}), {points(gain)} points "
                f"[{points(low)}, {points(high)}].")
    if answer["resolved"]:
        return text
    return f"{text} The interval contains 0: this test set does not resolve the difference."


def format_macs(macs: float) -> str:
    """Such as "850 k", "26.7 M" or "1.55 G": three digits, rounded up, so that "under" stays true."""
    value, unit = macs, ""
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    decimals = 0 if value >= 100 or not unit else 1 if value >= 10 else 2
    rounded = math.ceil(value * 10**decimals - 1e-9) / 10**decimals
    return f"{rounded:.{decimals}f} {unit}".rstrip()


def fair_pairs(found: Comparable) -> list[dict]:
    """3 x wrn-<depth>-<width> against 1 x wrn-<depth>-<2 width>: about the same MACs (76 to 79 % of the single's for
    Wide ResNets of depth 16), the comparison that Kondratyuk et al. 2020 is about."""
    places = {row["ensemble"]: number for number, row in enumerate(found.rows)}
    pairs = []
    for number, row in enumerate(found.rows):
        match = re.fullmatch(r"3 x wrn-(\d+)-(\d+)", row["ensemble"])
        other = places.get(f"1 x wrn-{match[1]}-{2 * int(match[2])}") if match else None
        if other is not None:
            single = found.rows[other]
            gain, low, high = found.gain(number, other)
            pairs.append({"ensemble": row["ensemble"], "versus": single["ensemble"], "macs": row["macs"],
                          "versus_macs": single["macs"], "gain": gain, "low": low, "high": high,
                          "accuracy": row["accuracy_mean"], "versus_accuracy": single["accuracy_mean"],
                          "combine": row["combine"]})
    return pairs
