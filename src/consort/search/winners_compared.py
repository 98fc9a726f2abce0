"""What the final study shows of a search's winners: their rows, and their differences with intervals. No torch here."""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from consort.ensembles.composition import Composition, subsets_of
from consort.ensembles.metrics import bootstrap_means, interval
from consort.ensembles.subset_scores import score_subsets
from consort.members.logits import log_probabilities
from consort.run.run import Run
from consort.search.records import TrialRecord
from consort.search.winners import compositions
from consort.study.search import Search


def compared(search: Search, final: Run, won: Mapping[str, TrialRecord]) -> dict:
    """The part `final` of search.json: everything is on the test set of the final run, which was evaluated."""
    summary = final.summary()
    composed = {kind: _composition(final, of_kind) for kind, of_kind in compositions(search, won).items()}
    rows = {row["ensemble"]: row for row in summary["rows"]
            if row["test_set"] == "test" and row["combine"] == summary["combine"]}
    there = {kind: one for kind, one in composed.items() if one.label in rows}  # a member may have failed
    differences = _differences(final, there)
    return {"ref": final.ref, "combine": summary["combine"], "confidence": summary["confidence"],
            "test_images": summary["test_images"],
            "winners": [{"kind": kind, "networks": list(record.networks), "trial": record.id, "reward": record.reward,
                         "accuracy": record.accuracy, "latency_ms": record.latency_ms}
                        for kind, record in won.items()],
            "ensembles": [_ensemble(kind, one, rows[one.label], differences) for kind, one in there.items()],
            "missing": summary["missing"]}


def _composition(final: Run, copies: Counter[str]) -> Composition:
    """Its parts in the order of the study, which rows are named in."""
    return Composition(tuple((name, copies[name]) for name in final.study.architectures if copies[name]))


def _ensemble(kind: str, one: Composition, row: dict, differences: dict[tuple[str, str], dict]) -> dict:
    return {"kind": kind, "ensemble": one.label, "networks": [name for name, count in one.parts for _ in range(count)],
            "accuracy": row["accuracy_mean"], "low": row["accuracy_low"], "high": row["accuracy_high"],
            "parallel_latency_ms": row["latency_parallel_ms"], "serial_latency_ms": row["latency_serial_ms"],
            "macs": row["macs"], "params": row["params"], "num_subsets": row["num_subsets"],
            "differences": [{"minus": other, **values} for (this, other), values in differences.items()
                            if this == kind]}


def _differences(final: Run, composed: Mapping[str, Composition]) -> dict[tuple[str, str], dict]:
    """(kind, other kind) -> accuracy of the first minus the second's, over the same resamples of the test images."""
    if len(composed) < 2:
        return {}
    records = final.records()
    numbers = {name: [i for i, record in enumerate(records) if record.architecture == name]
               for name in final.study.architectures}
    settings = final.study.evaluate
    subsets = {kind: subsets_of(one, numbers, settings.max_subsets) for kind, one in composed.items()}
    flat = [subset for of_kind in subsets.values() for subset in of_kind]
    groups = [group for group, of_kind in enumerate(subsets.values()) for _ in of_kind]
    log_probs = log_probabilities(final.store, records, final.plan.data, "test", None, final.cache)
    right = score_subsets(log_probs, final.plan.data.labels("test"), flat, settings.combine[0], groups=groups).correct
    assert right is not None
    shares = right / np.array([[len(of_kind)] for of_kind in subsets.values()])
    resampled = bootstrap_means(shares, settings.bootstrap)
    found = {}
    for (i, a), (j, b) in combinations(enumerate(composed), 2):
        mean = float(shares[i].mean() - shares[j].mean())
        low, high = map(float, interval(resampled[:, i] - resampled[:, j], settings.confidence))
        found[a, b] = {"accuracy": mean, "low": low, "high": high}
        found[b, a] = {"accuracy": -mean, "low": -high, "high": -low}
    return found
