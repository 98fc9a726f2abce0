"""Rows against rows: which single an ensemble is compared with, and by how much it gains.

A partner is chosen by cost and validation accuracy; the test set only says how large the gain is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.ensembles.metrics import interval
from consort.evaluate.rows import BUDGETS, Row


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
    """Complete the rows: the interval of their accuracy, and for each budget the best single within the row's cost."""
    low, high = interval(found.resampled, found.confidence)
    for number, row in enumerate(found.rows):
        row["accuracy_low"], row["accuracy_high"] = float(low[number]), float(high[number])
        for budget in BUDGETS:
            versus = best_single(found, number, budget)
            gain = found.gain(number, versus) if versus is not None else (None, None, None)
            row[f"versus_{budget}"] = found.rows[versus]["ensemble"] if versus is not None else None
            row[f"gain_{budget}"], row[f"gain_{budget}_low"], row[f"gain_{budget}_high"] = gain


def best_single(found: Comparable, number: int, budget: str) -> int | None:
    """The best single, by validation, that costs no more in this budget than the row; None where there is none or it
    is the row itself."""
    column = BUDGETS[budget]
    cost = found.rows[number][column]
    if cost is None:
        return None
    # Serial latency is a sum of floats: a rounding error must not make a single dearer than itself.
    within = [i for i in found.singles() if (its := found.rows[i][column]) is not None and its <= cost * (1 + 1e-9)]
    versus = found.best(within) if within else None
    return None if versus == number else versus


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
