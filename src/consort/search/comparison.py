"""What the final study shows of a search's winners: their rows, and their differences with intervals. No torch here.

Two intervals of each difference: of these very networks on other test images, and of the same recipes trained again on
average over seeds (ensembles.intervals). What is said of architectures stands on the second.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consort.answer import stored
from consort.ensembles.composition import Composition, Subset, subsets_of
from consort.ensembles.intervals import (
    Interval,
    Seeds,
    Unknown,
    image_variance_of,
    member_weights,
    of_difference,
    simultaneous,
    trained_again,
)
from consort.ensembles.metrics import bootstrap_means
from consort.ensembles.subset_scores import score_subsets
from consort.members.logits import log_probabilities
from consort.run.run import Run
from consort.search.records import TrialRecord
from consort.search.winners import compositions
from consort.study.search import Search

LATENCIES = {"parallel": "latency_parallel_ms", "serial": "latency_serial_ms"}
"""How the search counts an ensemble's latency -> the column of the evaluation."""


def compared(search: Search, final: Run, won: Mapping[str, TrialRecord]) -> dict:
    """The part `final` of search.json: everything is on the test set of the final run, which was evaluated.

    The kind `best` is the best single, by validation, of all that were trained there and are within the latency of the
    winners; it is left out where it is the winner of the kind `single`.
    """
    summary = final.summary()
    composed = {kind: _composition(final, of_kind) for kind, of_kind in compositions(search, won).items()}
    rows = {row["ensemble"]: row for row in summary["rows"]
            if row["test_set"] == "test" and row["combine"] == summary["combine"]}
    there = {kind: one for kind, one in composed.items() if one.label in rows}  # a member may have failed
    within = _within(search, rows, [one.label for one in there.values()])
    best = next((label for label in within if rows[label]["kind"] == "single"), None)
    if best is not None and best not in {one.label for one in there.values()}:
        there["best"] = _parse(best)
    rivals = [label for label in within if rows[label]["kind"] == "uniform" and "joint" in there
              and rows[label]["num_members"] == there["joint"].num_members]
    right = _rights(final, list({one.label: one for one in (*there.values(), *map(_parse, rivals))}.values()))
    return {"ref": final.ref, "combine": summary["combine"], "confidence": summary["confidence"],
            "test_images": summary["test_images"],
            "winners": [{"kind": kind, "networks": list(record.networks), "trial": record.id, "reward": record.reward,
                         "accuracy": record.accuracy, "latency_ms": record.latency_ms}
                        for kind, record in won.items()],
            "ensembles": [_ensemble(kind, one, rows[one.label], right, there) for kind, one in there.items()],
            "mixing": _mixing(right, there, rivals), "missing": summary["missing"]}


def _composition(final: Run, copies: Counter[str]) -> Composition:
    """Its parts in the order of the study, which rows are named in."""
    return Composition(tuple((name, copies[name]) for name in final.study.architectures if copies[name]))


def _parse(label: str) -> Composition:
    """Of a row of one architecture, such as "3 x net-a"."""
    count, name = label.split(" x ", 1)
    return Composition(((name, int(count)),))


def _within(search: Search, rows: Mapping[str, dict], winners: Sequence[str]) -> list[str]:
    """Rows as fast as the search asks, or as the slowest winner where the winners turned out slower; the best on
    validation first. A row whose latency is not known is none of them, unless no row's is."""
    column = LATENCIES[search.objective.latency]
    known = [rows[label][column] for label in winners if rows[label][column] is not None]
    limit = max([search.objective.target_latency_ms, *known])
    fast = [label for label, row in rows.items() if (row[column] is None and not known)
            or (row[column] is not None and row[column] <= limit)]
    return sorted(fast, key=lambda label: (-rows[label]["val_accuracy_mean"], rows[label]["val_nll_mean"],
                                           rows[label]["macs"]))


@dataclass(frozen=True)
class _Rights:
    """How often rows are right about each test image, over the same resamples of the images."""

    labels: list[str]
    subsets: list[list[Subset]]
    shares: np.ndarray
    """[rows, images]: the share of a row's subsets that is right."""
    resampled: np.ndarray
    """[resamples, rows]."""
    architectures: list[str]
    """Of the members."""
    seeds: Seeds | None
    confidence: float

    def difference(self, a: str, b: str, together: int = 1) -> dict:
        """Accuracy of row a minus that of b; low, high, resolved: for these very networks; anew, resolved_anew: for the
        same recipes trained again. together: of how many differences the interval of recipes trained again
        holds at once (Bonferroni)."""
        i, j = self.labels.index(a), self.labels.index(b)
        apart = self.shares[i] - self.shares[j]
        over = of_difference(apart, self.resampled[:, i] - self.resampled[:, j], self.confidence)
        weights = member_weights(self.subsets[i], self.subsets[j], len(self.architectures))
        again = trained_again(float(apart.mean()), image_variance_of(apart), weights, self.architectures, self.seeds,
                              1 - (1 - self.confidence) / together)
        return {"accuracy": float(apart.mean()), "low": over.low, "high": over.high, "resolved": over.resolved,
                **_anew(again)}


def _anew(again: Interval | Unknown) -> dict:
    if isinstance(again, Unknown):
        return {"anew": None, "anew_unknown": again.why, "resolved_anew": False}
    return {"anew": [again.low, again.high], "anew_unknown": None, "resolved_anew": again.resolved}


def _rights(final: Run, composed: Sequence[Composition]) -> _Rights:
    records, settings = final.records(), final.study.evaluate
    numbers = {name: [i for i, record in enumerate(records) if record.architecture == name]
               for name in final.study.architectures}
    subsets = [subsets_of(one, numbers, settings.max_subsets) for one in composed]
    flat = [subset for of_row in subsets for subset in of_row]
    groups = [group for group, of_row in enumerate(subsets) for _ in of_row]
    log_probs = log_probabilities(final.store, records, final.plan.data, "test", None, final.cache)
    right = score_subsets(log_probs, final.plan.data.labels("test"), flat, settings.combine[0], groups=groups).correct
    assert right is not None
    shares = right / np.array([[len(of_row)] for of_row in subsets])
    answered = stored.read(final.store, final.study.name, final.plan.run)
    return _Rights([one.label for one in composed], subsets, shares, bootstrap_means(shares, settings.bootstrap),
                   [record.architecture for record in records], answered and answered[0].seeds, settings.confidence)


def _ensemble(kind: str, one: Composition, row: dict, right: _Rights, there: Mapping[str, Composition]) -> dict:
    return {"kind": kind, "ensemble": one.label, "networks": [name for name, count in one.parts for _ in range(count)],
            "accuracy": row["accuracy_mean"], "low": row["accuracy_low"], "high": row["accuracy_high"],
            "parallel_latency_ms": row["latency_parallel_ms"], "serial_latency_ms": row["latency_serial_ms"],
            "macs": row["macs"], "params": row["params"], "num_subsets": row["num_subsets"],
            "differences": [{"minus": other, **right.difference(one.label, its.label)}
                            for other, its in there.items() if other != kind]}


def _mixing(right: _Rights, there: Mapping[str, Composition], rivals: Sequence[str]) -> list[dict]:
    """The joint winner minus the copies of each network, the best copies on validation first; the intervals hold for
    all of them at once."""
    rivals = [label for label in rivals if label != there["joint"].label] if "joint" in there else []
    if not rivals:
        return []
    label = there["joint"].label
    found = [{"ensemble": rival, **right.difference(label, rival, len(rivals))} for rival in rivals]
    columns = [right.labels.index(rival) for rival in rivals]
    resampled = right.resampled[:, [right.labels.index(label)]] - right.resampled[:, columns]
    together = simultaneous(np.array([one["accuracy"] for one in found]), resampled, right.shares.shape[1],
                            right.confidence)
    return [one | {"low": over.low, "high": over.high, "resolved": over.resolved}
            for one, over in zip(found, together, strict=True)]
