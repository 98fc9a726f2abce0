"""The candidates of a run: every single, every ensemble and every cascade that could be the choice within some budget.

Two halves that share no data, as in evaluate.rows: `propose` sees validation only, `measure_candidates` sees the test
images and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np

from consort.answer.batched import NOTHING_BESIDE, Beside
from consort.answer.choices import Candidate, Costs, OnTest, OnValidation, Promise
from consort.answer.confidences import Compared, compare
from consort.answer.metric import goodness
from consort.answer.sentences import of_accuracy
from consort.costs.parallel import slowest_ms
from consort.costs.records import LatencyRecord
from consort.ensembles.bounds import wilson
from consort.ensembles.cascades import Cascade, answer, answered, asked, curve, promised
from consort.ensembles.composition import Composition, Subset, combine, tempered
from consort.ensembles.image_scores import image_scores, one_image, value_of
from consort.ensembles.intervals import of_loss, of_recalls
from consort.ensembles.metrics import correct, ece, nll, pareto_front
from consort.members.records import MemberRecord

WEIGHTS = ("weights.safetensors", "program.onnx")
"""Files of a member that hold what is deployed."""

LARGEST_CASCADE = 4
"""Members of a cascade."""
PROMISED = 8
"""Ensembles whose cascades may carry a promise: each more makes each promise harder to keep."""
PROMISE_CONFIDENCE = 0.95
PROMISE_SURE_BY = "margin"
"""Declared beforehand: choosing it on the same images costs more of the error than it saves
(docs/results/cascades.md)."""
MOST_CASCADED = 40
CASCADED_SCORES = 150_000_000
"""Cascades are tried of at most MOST_CASCADED ensembles, and of fewer where a member has more scores than CIFAR's."""


@dataclass(frozen=True)
class Ensemble:
    """What validation selected of a composition: its members and its temperature."""

    composition: Composition
    subset: Subset
    temperature: float


@dataclass(frozen=True)
class Proposed:
    """A candidate before any test image is looked at."""

    label: str
    kind: str
    order: Subset
    """Numbers of the members; of a cascade in the order in which they are asked."""
    cascade: Cascade | None
    temperature: float
    """Of what is no cascade."""
    costs: Costs
    val: OnValidation
    scores: np.ndarray
    """Of the validation images, by the metric."""
    promise: Promise | None = None


@dataclass(frozen=True)
class Proposals:
    """All that is chosen on validation."""

    candidates: list[Proposed]
    promises_share: int
    """Ensembles whose cascades share the error that a promise is allowed."""
    confidences: Compared | None
    """None where there are no cascades."""


@dataclass(frozen=True)
class Members:
    """The members of a run: what they are and how fast, and how their predictions become one."""

    records: Sequence[MemberRecord]
    latencies: Mapping[str, LatencyRecord]
    """Architecture -> how long one forward pass takes, where it was measured."""
    combine: str
    metric: str = "accuracy"
    """By which they are judged."""
    beside: Beside = NOTHING_BESIDE
    """Latencies in batches, and of ensembles at the same time."""


def propose(members: Members, ensembles: Sequence[Ensemble], log_probs: np.ndarray, labels: np.ndarray,
            loss: float) -> Proposals:
    """All singles, cascades with a promise, and of the ensembles and other cascades what no other candidate beats.

    log_probs [members, validation images, classes], labels [validation images]. loss: what a promise is about.
    """
    found = [_ensemble(members, one, log_probs, labels) for one in ensembles]
    tried = _cascaded(ensembles, found, members.metric)[:_most_cascaded(labels, log_probs)]
    macs = [record.macs for record in members.records]
    found += [_cascade(members, one, point.cascade, log_probs, labels) for one in tried
              for point in curve(log_probs, labels, one.subset, macs, members.combine,
                                 partial(image_scores, members.metric))]
    found += _with_promise(members, tried[:PROMISED], log_probs, labels, loss)
    kept = [_with_costs_beside(members, one, log_probs)
            for one, stays in zip(found, unbeaten(found, members.metric), strict=True)
            if stays or one.kind == "single" or one.promise]
    # By agreement two members never stop early, so three tell more.
    shown = next((one for one in tried if len(one.subset) > 2), tried[0] if tried else None)
    return Proposals(kept, min(len(tried), PROMISED), None if shown is None else compare(
        shown.composition.label, shown.subset, log_probs, labels, macs, members.combine))


def _ensemble(members: Members, one: Ensemble, log_probs: np.ndarray, labels: np.ndarray) -> Proposed:
    combined = combine(log_probs[list(one.subset)], members.combine)
    costs = costs_of(members, one.subset, np.full(len(labels), len(one.subset)))
    return Proposed(one.composition.label, one.composition.kind, one.subset, None, one.temperature, costs,
                    *_judged(members.metric, combined, one.temperature, labels))


def _cascade(members: Members, one: Ensemble, cascade: Cascade, log_probs: np.ndarray, labels: np.ndarray) -> Proposed:
    given, number = answered(log_probs, cascade)
    costs = costs_of(members, cascade.order, number)
    return Proposed(f"cascade of {one.composition.label}", "cascade", cascade.order, cascade, 1.0, costs,
                    *_judged(members.metric, given, 1.0, labels))


def _judged(metric: str, answered: np.ndarray, temperature: float,
            labels: np.ndarray) -> tuple[OnValidation, np.ndarray]:
    """A prediction on the validation images, and its scores: of an NLL those after calibration."""
    right, calibrated = correct(answered, labels), tempered(answered, temperature)
    scores = image_scores(metric, calibrated, labels, right)
    return OnValidation(float(right.mean()), nll(calibrated, labels), value_of(metric, scores)), scores


def _with_promise(members: Members, ensembles: Sequence[Ensemble], log_probs: np.ndarray, labels: np.ndarray,
                  loss: float) -> list[Proposed]:
    """Of each ensemble the cascade that stops earliest while its promise holds, where one can be made. What the promise
    is about was chosen on no image: cheapest first, by the margin as it is, with one threshold for all stages."""
    found = []
    for one in ensembles:
        order = tuple(sorted(one.subset, key=lambda i: members.records[i].macs))
        base = Cascade(order, members.combine, PROMISE_SURE_BY, (np.inf,) * (len(order) - 1), (1.0,) * len(order))
        cascade = promised(log_probs, labels, base, loss, PROMISE_CONFIDENCE, len(ensembles))
        if cascade is not None and asked(log_probs, cascade).min() < len(order):
            text = (f"loses at most {100 * loss:.3g} points{of_accuracy(members.metric)} against asking every member, "
                    f"with {100 * PROMISE_CONFIDENCE:g} % confidence")
            found.append(replace(_cascade(members, one, cascade, log_probs, labels),
                                 promise=Promise(loss, PROMISE_CONFIDENCE, text)))
    return found


def _cascaded(ensembles: Sequence[Ensemble], found: Sequence[Proposed], metric: str) -> list[Ensemble]:
    """The ensembles of two to four members, those first that none is both cheaper and better than."""
    values = np.array([goodness(metric, one.val.value) for one in found])
    front = pareto_front(np.array([one.costs.macs for one in found]), values)
    small = [i for i, one in enumerate(ensembles) if 2 <= len(one.subset) <= LARGEST_CASCADE]
    return [ensembles[i] for i in sorted(small, key=lambda i: (not front[i], -values[i]))]


def _most_cascaded(labels: np.ndarray, log_probs: np.ndarray) -> int:
    """Of how many ensembles cascades are tried: fewer where predictions are large."""
    return int(np.clip(CASCADED_SCORES // (len(labels) * log_probs.shape[2]), 3, MOST_CASCADED))


def costs_of(members: Members, order: Sequence[int], asked: np.ndarray) -> Costs:
    """What members cost in this order. asked: how many of them each validation image was put to."""
    records = [members.records[i] for i in order]
    macs = np.cumsum([record.macs for record in records])
    known = all(record.architecture in members.latencies for record in records)
    timed = [members.latencies[record.architecture] for record in records] if known else []
    each = [latency.median_ms for latency in timed]
    ms = np.cumsum(each)[asked - 1] if known else None
    everybody = asked.min() == len(order)
    sizes = [next((r.files[name]["bytes"] for name in WEIGHTS if name in r.files), None) for r in records]
    return Costs(
        macs=float(macs[asked - 1].mean()), macs_worst=float(macs[-1]),
        serial_ms=None if ms is None else float(ms.mean()),
        serial_p99_ms=None if ms is None else float(np.quantile(ms, 0.99, method="higher")),
        serial_worst_ms=None if ms is None else float(sum(each)),
        parallel_ms=None if ms is None else slowest_ms(timed) if everybody else float(ms.mean()),
        params=sum(record.params for record in records),
        bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        train_macs=None if any(r.imported for r in records) else sum(r.train_macs for r in records))


def _with_costs_beside(members: Members, one: Proposed, log_probs: np.ndarray) -> Proposed:
    """The same with what no budget bounds: its cost in batches, and of all members at the same time."""
    order = [members.records[i].architecture for i in one.order]
    counts = np.full(log_probs.shape[1], len(order)) if one.cascade is None else asked(log_probs, one.cascade)
    mean, worst = members.beside.batched(order, counts)
    concurrent_ms = members.beside.concurrent_ms(order) if one.cascade is None and len(order) > 1 else None
    return replace(one, costs=replace(one.costs, batch_ms=mean, batch_worst_ms=worst, concurrent_ms=concurrent_ms))


def unbeaten(found: Sequence[Proposed], metric: str = "accuracy") -> list[bool]:
    """Those that no other is at least as good as in the metric, number of networks and every cost, and better in one.

    What is beaten is the choice within no budget: another one fits wherever it does.
    """
    values = np.array([[-goodness(metric, one.val.value), len(one.order),
                        *(np.inf if cost is None else cost for cost in astuple(one.costs))] for one in found])
    return [not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any() for row in values]


def measure_candidates(members: Members, proposed: Sequence[Proposed], log_probs: np.ndarray, labels: np.ndarray,
                       confidence: float) -> tuple[list[Candidate], np.ndarray]:
    """The same on the test images: the candidates, and their scores [candidates, images].

    log_probs [members, test images, classes], labels [test images]; confidence: of the intervals.
    """
    found, scores, metric = [], [], members.metric
    for number, one in enumerate(proposed):
        cascade, records = one.cascade, [members.records[i] for i in one.order]
        answered = answer(log_probs, cascade) if cascade else combine(log_probs[list(one.order)], members.combine)
        right, calibrated = correct(answered, labels), tempered(answered, one.temperature)
        scores.append(image_scores(metric, calibrated, labels, right))
        found.append(Candidate(
            id=f"c{number}", label=one.label, kind=one.kind, members=tuple(record.id for record in records),
            architectures=tuple(record.architecture for record in records), combine=members.combine,
            temperatures=cascade.temperatures if cascade else (one.temperature,),
            confidence=cascade.confidence if cascade else None,
            thresholds=tuple(t if np.isfinite(t) else None for t in cascade.thresholds) if cascade else (),
            promise=one.promise, costs=one.costs, val=one.val,
            test=_on_test(metric, right, calibrated, scores[-1], labels, confidence)))
    return found, np.array(scores)


def _on_test(metric: str, right: np.ndarray, calibrated: np.ndarray, scores: np.ndarray, labels: np.ndarray,
             confidence: float) -> OnTest:
    accuracy = float(right.mean())
    of_right = wilson(accuracy, len(labels), confidence)
    ends = of_right
    if metric == "nll":
        loss = of_loss(-scores, one_image(metric, labels), confidence)
        ends = loss.low, loss.high
    elif metric == "balanced_accuracy":
        recalls = of_recalls(right, labels, confidence)
        ends = max(0.0, recalls.low), min(1.0, recalls.high)
    return OnTest(accuracy, *of_right, nll(calibrated, labels), ece(calibrated, labels),
                  value_of(metric, scores), *ends)
