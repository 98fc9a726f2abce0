"""Rows against rows: which single an ensemble is compared with, and by how much it gains.

A partner is chosen by cost and validation accuracy; the test set only says how large the gain is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.ensembles.bounds import never_seen
from consort.ensembles.intervals import Interval, Seeds, Unknown, simultaneous, trained_again
from consort.ensembles.metrics import interval
from consort.evaluate.rows import BUDGETS, Row


@dataclass(frozen=True)
class Comparable:
    """The rows of one test set and method, with their accuracies in the same bootstrap resamples."""

    rows: list[Row]
    resampled: np.ndarray
    """float64 [resamples, rows], one column per row; all columns share the resamples of the test images."""
    confidence: float
    images: int

    def gain(self, one: int, other: int) -> tuple[float, float, float]:
        """accuracy_mean of row `one` minus that of row `other`, with its paired bootstrap interval."""
        low, high = self.interval(self.resampled[:, [one]] - self.resampled[:, [other]])
        return self.rows[one]["accuracy_mean"] - self.rows[other]["accuracy_mean"], float(low[0]), float(high[0])

    def interval(self, resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each column; what is the same in every resample is known to about 3 images in all, not exactly."""
        low, high = interval(resampled, self.confidence)
        unseen = np.where(low == high, never_seen(self.images, self.confidence), 0.0)
        return low - unseen, high + unseen

    def best(self, numbers: Sequence[int]) -> int:
        """Of these rows the best on validation: highest accuracy, then lowest NLL, then fewest MACs."""
        return min(numbers, key=lambda i: (-self.rows[i]["val_accuracy_mean"], self.rows[i]["val_nll_mean"],
                                           self.rows[i]["macs"]))

    def singles(self) -> list[int]:
        return [number for number, row in enumerate(self.rows) if row["kind"] == "single"]


@dataclass(frozen=True)
class Trainings:
    """What is known of training the members again."""

    shares: np.ndarray
    """Of every row how much each member's luck moves it: float64 [rows, members] (`intervals.member_shares`)."""
    architectures: Sequence[str]
    """Of every member."""
    seeds: Seeds | None

    def again(self, found: Comparable, one: int, other: int, gain: float) -> Interval | Unknown:
        """The interval of row one's gain on another if their recipes were trained again."""
        by_images = float(np.var(found.resampled[:, one] - found.resampled[:, other]))
        return trained_again(gain, max(by_images, found.images**-2), self.shares[one] - self.shares[other],
                             self.architectures, self.seeds, found.confidence)


def fill_in(found: Comparable, trainings: Trainings) -> None:
    """Complete the rows: the interval of their accuracy, and for each budget the best single within the row's cost.

    Of a budget the gains of all rows are inside their intervals over images at once; those of the same recipes trained
    again hold a row at a time.
    """
    low, high = found.interval(found.resampled)
    for number, row in enumerate(found.rows):
        row["accuracy_low"], row["accuracy_high"] = max(0.0, float(low[number])), min(1.0, float(high[number]))
    for budget in BUDGETS:
        partners = [best_single(found, number, budget) for number in range(len(found.rows))]
        gains = _gains_together(found, partners)
        for number, (row, versus) in enumerate(zip(found.rows, partners, strict=True)):
            if versus is None:
                continue
            gain, over = gains[number]
            again = trainings.again(found, number, versus, gain)
            row[f"versus_{budget}"], row[f"gain_{budget}"] = found.rows[versus]["ensemble"], gain
            row |= _columns(f"gain_{budget}", over) | _columns(f"gain_{budget}_anew", again)


def _columns(name: str, over: Interval | Unknown) -> Row:
    return {} if isinstance(over, Unknown) else {f"{name}_low": over.low, f"{name}_high": over.high,
                                                 f"{name}_resolved": over.resolved}


def _gains_together(found: Comparable, partners: Sequence[int | None]) -> dict[int, tuple[float, Interval]]:
    """Row -> its gain on its partner with its simultaneous interval."""
    ones = [number for number, versus in enumerate(partners) if versus is not None]
    if not ones:
        return {}
    others = [versus for versus in partners if versus is not None]
    gains = np.array([found.rows[one]["accuracy_mean"] - found.rows[other]["accuracy_mean"]
                      for one, other in zip(ones, others, strict=True)])
    together = simultaneous(gains, found.resampled[:, ones] - found.resampled[:, others], found.images,
                            found.confidence)
    return {one: (float(gain), over) for one, gain, over in zip(ones, gains, together, strict=True)}


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


def fair_pairs(found: Comparable, trainings: Trainings) -> list[dict]:
    """3 x wrn-<depth>-<width> against 1 x wrn-<depth>-<2 width>: about the same MACs (76 to 79 % of the single's for
    Wide ResNets of depth 16), the comparison that Kondratyuk et al. 2020 is about.

    low, high, resolved: for these very networks; anew: for the same recipes trained again, or anew_unknown."""
    places = {row["ensemble"]: number for number, row in enumerate(found.rows)}
    pairs = []
    for number, row in enumerate(found.rows):
        match = re.fullmatch(r"3 x wrn-(\d+)-(\d+)", row["ensemble"])
        other = places.get(f"1 x wrn-{match[1]}-{2 * int(match[2])}") if match else None
        if other is not None:
            single = found.rows[other]
            gain, low, high = found.gain(number, other)
            again = trainings.again(found, number, other, gain)
            pairs.append({"ensemble": row["ensemble"], "versus": single["ensemble"], "macs": row["macs"],
                          "versus_macs": single["macs"], "gain": gain, "low": low, "high": high,
                          "resolved": low > 0 or high < 0,
                          **_anew(again),
                          "accuracy": row["accuracy_mean"], "versus_accuracy": single["accuracy_mean"],
                          "combine": row["combine"]})
    return pairs


def _anew(again: Interval | Unknown) -> dict:
    if isinstance(again, Unknown):
        return {"anew": None, "anew_unknown": again.why}
    return {"anew": {"low": again.low, "high": again.high, "resolved": again.resolved}, "anew_unknown": None}
