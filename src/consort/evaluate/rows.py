"""The row of every ensemble: what validation selects, and what a test set then shows.

Two halves that share no data: `select` sees validation only, `measure` sees one test set and changes no choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consort.costs.parallel import slowest_ms
from consort.costs.records import LatencyRecord
from consort.ensembles.cascades import Cascade, design, run
from consort.ensembles.composition import (
    Composition,
    Subset,
    combine,
    compositions,
    num_subsets,
    subsets_of,
    tempered,
)
from consort.ensembles.metrics import (
    accuracy,
    brier,
    correct,
    disagreement,
    ece,
    error_correlation,
    fit_temperature,
    mean_over_pairs,
    nll,
    oracle_accuracy,
    pareto_front,
)
from consort.ensembles.subset_scores import score_subsets
from consort.members.records import MemberRecord

Row = dict

BUDGETS = {"macs": "macs", "latency_parallel": "latency_parallel_ms", "latency_serial": "latency_serial_ms",
           "train_macs": "train_macs"}
"""Budget -> the column that it is counted in."""

COLUMNS: dict[str, type] = {
    "test_set": str, "ensemble": str, "kind": str, "combine": str, "num_members": int,
    "macs": int, "flops": int, "params": int, "latency_parallel_ms": float, "latency_serial_ms": float,
    "train_macs": int, "train_cpu_seconds": float, "num_subsets": int, "subsets_sampled": bool,
    "accuracy_mean": float, "accuracy_sd": float, "nll_mean": float, "nll_sd": float,
    "val_accuracy_mean": float, "val_nll_mean": float, "accuracy_low": float, "accuracy_high": float,
    "chosen_members": str, "accuracy": float, "nll": float, "nll_calibrated": float, "temperature": float,
    "ece": float, "ece_calibrated": float, "brier": float, "disagreement": float, "error_correlation": float,
    "oracle_accuracy": float, "member_accuracy": float,
    "cascade_threshold": float, "cascade_accuracy": float, "cascade_macs": float,
    "pareto_macs": bool, "pareto_latency_parallel": bool, "pareto_latency_serial": bool,
    "pareto_train_macs": bool,
    **{f"{column}_{budget}{suffix}": kind for budget in BUDGETS
       for column, suffix, kind in (("versus", "", str), ("gain", "", float), ("gain", "_low", float),
                                    ("gain", "_high", float))},
    **{f"gain_{budget}_{suffix}": kind for budget in BUDGETS
       for suffix, kind in (("resolved", bool), ("anew_low", float), ("anew_high", float), ("anew_resolved", bool))},
}
"""Columns of the result tables in order; a column may be null where it is not known."""


@dataclass(frozen=True)
class Candidates:
    """The ensembles of a study: compositions, and the subsets of members that stand for each."""

    compositions: list[Composition]
    subsets: list[list[Subset]]
    totals: list[int]
    """Subsets that there are of each composition; more than `subsets` holds where those are a sample."""

    @property
    def flat(self) -> list[Subset]:
        return [subset for subsets in self.subsets for subset in subsets]

    @property
    def groups(self) -> list[int]:
        """For each subset of `flat` the number of its composition."""
        return [number for number, subsets in enumerate(self.subsets) for _ in subsets]

    def split(self, scores: np.ndarray) -> list[np.ndarray]:
        """Scores of `flat`, per composition."""
        return np.split(scores, np.cumsum([len(subsets) for subsets in self.subsets])[:-1])


@dataclass(frozen=True)
class Selected:
    """What validation says about a composition under one method, and what it chooses."""

    accuracy_mean: float
    nll_mean: float
    subset: Subset
    """Best on validation by the metric (nll: before calibration), then lowest NLL, then the first."""
    temperature: float
    """Fitted to the combined prediction of `subset`: calibrated after averaging (Rahaman and Thiery 2020)."""
    cascade: Cascade | None
    """`subset` asked in order; None for a single."""


@dataclass(frozen=True)
class Measured:
    """A composition on a test set."""

    columns: Row
    shares: np.ndarray
    """Per image, how many of the subsets are right: int32 [images]."""


def candidates(members: Mapping[str, Sequence[int]], mixed_members: int, max_subsets: int) -> Candidates:
    """All ensembles of these members: architecture -> numbers of its members, in the order of the study."""
    available = {architecture: len(numbers) for architecture, numbers in members.items()}
    composed = compositions(available, mixed_members)
    return Candidates(composed, [subsets_of(one, members, max_subsets) for one in composed],
                      [num_subsets(one, available) for one in composed])


def select(log_probs: np.ndarray, labels: np.ndarray, ensembles: Candidates, macs: Sequence[int],
           method: str, metric: str = "accuracy") -> list[Selected]:
    """Choose on validation: log_probs [members, images, classes], labels [images], macs per member."""
    scores = score_subsets(log_probs, labels, ensembles.flat, method)
    values = scores.accuracy if metric == "accuracy" else -scores.nll if metric == "nll" else \
        _balanced(log_probs, labels, ensembles.flat, method)
    selected = []
    for subsets, accuracies, losses, of_metric in zip(ensembles.subsets, *map(ensembles.split, (
            scores.accuracy, scores.nll, values)), strict=True):
        best = subsets[int(np.lexsort((losses, -of_metric))[0])]
        temperature = fit_temperature(combine(log_probs[list(best)], method), labels)
        cascade = design(log_probs, labels, best, macs, method) if len(best) > 1 else None
        selected.append(Selected(float(accuracies.mean()), float(losses.mean()), best, temperature, cascade))
    return selected


def _balanced(log_probs: np.ndarray, labels: np.ndarray, subsets: Sequence[Subset], method: str) -> np.ndarray:
    """The balanced accuracy of every subset: the mean of its accuracies on the images of each class."""
    return np.mean([score_subsets(log_probs[:, labels == one], labels[labels == one], subsets, method).accuracy
                    for one in np.unique(labels)], axis=0)


def measure(log_probs: np.ndarray, labels: np.ndarray, ensembles: Candidates, selected: Sequence[Selected],
            macs: Sequence[int], method: str) -> list[Measured]:
    """Every composition on a test set: over all its subsets, and in detail for the one that validation chose."""
    scores = score_subsets(log_probs, labels, ensembles.flat, method, groups=ensembles.groups)
    assert scores.correct is not None
    right = np.array([correct(member, labels) for member in log_probs])
    disagreements = disagreement(log_probs.argmax(axis=2))
    correlations = error_correlation(~right)
    measured = []
    for choice, accuracies, losses, shares in zip(selected, ensembles.split(scores.accuracy),
                                                  ensembles.split(scores.nll), scores.correct, strict=True):
        subset = choice.subset
        columns = {
            "accuracy_mean": float(accuracies.mean()), "accuracy_sd": _sd(accuracies),
            "nll_mean": float(losses.mean()), "nll_sd": _sd(losses),
            **_of_prediction(combine(log_probs[list(subset)], method), labels, choice.temperature),
            "disagreement": mean_over_pairs(disagreements, subset),
            "error_correlation": mean_over_pairs(correlations, subset),
            "oracle_accuracy": oracle_accuracy(right[list(subset)]),
            "member_accuracy": float(right[list(subset)].mean()),
            **_of_cascade(log_probs, labels, choice.cascade, macs),
        }
        measured.append(Measured(columns, shares))
    return measured


def _of_prediction(log_probs: np.ndarray, labels: np.ndarray, temperature: float) -> Row:
    calibrated = tempered(log_probs, temperature)
    return {"accuracy": accuracy(log_probs, labels), "nll": nll(log_probs, labels),
            "nll_calibrated": nll(calibrated, labels), "temperature": temperature, "ece": ece(log_probs, labels),
            "ece_calibrated": ece(calibrated, labels), "brier": brier(log_probs, labels)}


def _of_cascade(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade | None, macs: Sequence[int]) -> Row:
    if cascade is None:
        return {"cascade_threshold": None, "cascade_accuracy": None, "cascade_macs": None}
    reached, cost = run(log_probs, labels, cascade, macs)
    threshold = cascade.thresholds[0] if np.isfinite(cascade.thresholds[0]) else None
    return {"cascade_threshold": threshold, "cascade_accuracy": reached, "cascade_macs": cost}


def _sd(values: np.ndarray) -> float | None:
    """The standard deviation of a sample; None for one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def selection_columns(ensembles: Candidates, selected: Sequence[Selected], method: str,
                      members: Sequence[MemberRecord], latencies: Mapping[str, LatencyRecord]) -> list[Row]:
    """The columns that are known before any test set: names, costs, and what validation decides."""
    rows = []
    for composition, subsets, total, choice in zip(ensembles.compositions, ensembles.subsets, ensembles.totals,
                                                   selected, strict=True):
        rows.append({
            "ensemble": composition.label, "kind": composition.kind, "combine": method,
            "num_members": composition.num_members, **cost_columns(composition, members, latencies),
            "num_subsets": total, "subsets_sampled": len(subsets) < total,
            "val_accuracy_mean": choice.accuracy_mean, "val_nll_mean": choice.nll_mean,
            "chosen_members": "+".join(members[number].id for number in choice.subset),
        })
    values = np.array([row["val_accuracy_mean"] for row in rows])
    for budget in BUDGETS:
        front = pareto_front(np.array([row[BUDGETS[budget]] for row in rows], dtype=np.float64), values)
        for row, on_front in zip(rows, front, strict=True):
            row[f"pareto_{budget}"] = bool(on_front)
    return rows


def cost_columns(composition: Composition, members: Sequence[MemberRecord],
                 latencies: Mapping[str, LatencyRecord]) -> Row:
    """What an ensemble costs: sums over its members, and the slowest of them where they run in parallel.

    Training costs are means over the seeds that there are; MACs and parameters do not depend on the seed. They are
    null where a member was imported: somebody trained it at a cost that nobody here knows.
    """
    of = {architecture: [m for m in members if m.architecture == architecture] for architecture, _ in composition.parts}

    def total(column: str) -> float:
        return float(sum(count * np.mean([getattr(member, column) for member in of[architecture]])
                         for architecture, count in composition.parts))

    trained_here = not any(member.imported for group in of.values() for member in group)
    known = all(architecture in latencies for architecture in of)
    timed = [latencies[architecture] for architecture, count in composition.parts for _ in range(count)
             ] if known else []
    macs = round(total("macs"))
    return {"macs": macs, "flops": 2 * macs, "params": round(total("params")),
            "latency_parallel_ms": slowest_ms(timed) if known else None,
            "latency_serial_ms": sum(latency.median_ms for latency in timed) if known else None,
            "train_macs": round(total("train_macs")) if trained_here else None,
            "train_cpu_seconds": total("train_cpu_seconds") if trained_here else None}
