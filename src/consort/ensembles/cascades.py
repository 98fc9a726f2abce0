"""Cascades: an ensemble's members asked in order, until the answer so far is confident enough.

Wang, Kondratyuk et al. 2022 (arXiv 2012.01988). All of a cascade (order, confidence, thresholds, temperatures) is
chosen on validation: `design` takes the one threshold that costs no accuracy there, `curve` the whole trade-off of
accuracy against mean cost, `promised` a threshold that loses no more than was said.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consort.ensembles.bounds import loses_less
from consort.ensembles.composition import Subset, combine, tempered
from consort.ensembles.metrics import correct, fit_temperature, highest, pareto_front
from consort.ensembles.stopping import best_thresholds, stage_that_answers

CONFIDENCES = ("probability", "margin", "entropy", "agreement")
"""How sure an answer is, larger is surer: its largest probability; the largest minus the second; the negative entropy
in nats; the share of the members asked whose own class is the combined one."""

THRESHOLDS = np.append(np.linspace(0.0, 1.0, 201), np.inf)
"""Candidates of `design`; at the last one nobody stops early."""

LEAST = -1e4
"""A log-probability of -inf counts as this in the entropy, where its summand is 0."""

LEVELS = 40
"""Thresholds of `curve` that all stages share: at so many equal steps of the share of images that stop at once."""

PRICES = np.geomspace(0.003, 3.0, 16)
"""For thresholds per stage: the score (accuracy) that asking every member, rather than none, has to be worth."""


@dataclass(frozen=True)
class Cascade:
    """Members in the order in which they are asked, and when to stop. A stage is one member more."""

    order: tuple[int, ...]
    """Numbers of members; two or more."""
    combine: str
    """geometric or arithmetic: how the predictions of those asked so far become one."""
    confidence: str
    """One of CONFIDENCES."""
    thresholds: tuple[float, ...]
    """One per stage but the last; a stage whose confidence is at least this gives the answer (inf: never)."""
    temperatures: tuple[float, ...]
    """One per stage: its combined log-probabilities are divided by it, and normalised, for decision and answer."""

    def __post_init__(self) -> None:
        stages = len(self.order)
        if stages < 2 or len(self.thresholds) != stages - 1 or len(self.temperatures) != stages:
            raise ValueError("a cascade has two members or more, a threshold per member but the last and a temperature "
                             f"per member; got {stages}, {len(self.thresholds)} and {len(self.temperatures)}")
        if self.confidence not in CONFIDENCES:
            raise ValueError(f"confidence is one of {', '.join(CONFIDENCES)}, got {self.confidence!r}")


@dataclass(frozen=True)
class Point:
    """A cascade on the images by which it was chosen."""

    cascade: Cascade
    accuracy: float
    """Or the mean of other scores."""
    cost: float
    """Mean per image, in the unit of the costs that were given."""


def asked(log_probs: np.ndarray, cascade: Cascade) -> np.ndarray:
    """How many members each image needs (int [images], 1 to all): log_probs [members, images, classes]."""
    return stage_that_answers(_confidences(log_probs, cascade), cascade.thresholds) + 1


def answer(log_probs: np.ndarray, cascade: Cascade) -> np.ndarray:
    """The cascade's prediction, log-probabilities [images, classes]: for each image that of the stage which stops."""
    return answered(log_probs, cascade)[0]


def answered(log_probs: np.ndarray, cascade: Cascade) -> tuple[np.ndarray, np.ndarray]:
    """Both at once: the prediction, and how many members each image needs."""
    given = np.empty(log_probs.shape[1:], dtype=log_probs.dtype)
    number = np.zeros(len(given), dtype=np.int64)
    votes, thresholds = _votes(log_probs, cascade), np.append(cascade.thresholds, -np.inf)
    for asked_now, (one, threshold) in enumerate(zip(_answers(log_probs, cascade), thresholds, strict=True), start=1):
        stops = (number == 0) & (_sureness(one, cascade.confidence, votes[:asked_now]) >= threshold)
        number[stops], given[stops] = asked_now, one[stops]
    return given, number


def spent(number: np.ndarray, cascade: Cascade, costs: Sequence[float]) -> np.ndarray:
    """What each image costs (float64 [images]) where `number` members were asked; costs per member, which add up (MACs,
    serial milliseconds). Its mean, quantiles and the cascade's worst case follow; the worst is sum over the order."""
    return np.cumsum([costs[member] for member in cascade.order], dtype=np.float64)[number - 1]


def run(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade, costs: Sequence[float]) -> tuple[float, float]:
    """(accuracy, mean cost per image) on any split: log_probs [members, images, classes], costs per member."""
    given, number = answered(log_probs, cascade)
    return float(correct(given, labels).mean()), float(spent(number, cascade, costs).mean())


def accuracies(log_probs: np.ndarray, labels: np.ndarray, found: Sequence[Cascade]) -> list[float]:
    """The accuracy of each of these cascades on any split; those that differ in their thresholds alone share the
    work."""
    known: dict[Cascade, tuple[np.ndarray, np.ndarray]] = {}
    reached = []
    for one in found:
        base = replace(one, thresholds=(np.inf,) * len(one.thresholds))
        if base not in known:
            known[base] = _confidences(log_probs, base), _right(log_probs, labels, base)
        sure, right = known[base]
        reached.append(float(right[stage_that_answers(sure, one.thresholds), np.arange(len(labels))].mean()))
    return reached


def orders(log_probs: np.ndarray, labels: np.ndarray, subset: Subset, costs: Sequence[float]) -> list[tuple[int, ...]]:
    """The orders worth trying: cheapest first (equals as in `subset`), and most accurate first (then cheapest)."""
    accuracies = {member: correct(log_probs[member], labels).mean() for member in subset}
    cheapest = tuple(sorted(subset, key=lambda member: costs[member]))
    best = tuple(sorted(subset, key=lambda member: (-accuracies[member], costs[member])))
    return [cheapest] if cheapest == best else [cheapest, best]


def calibrated(log_probs: np.ndarray, labels: np.ndarray, order: Sequence[int], method: str,
               confidence: str = "probability") -> Cascade:
    """A cascade in which nobody stops early yet: this order and confidence, temperatures fitted on these images."""
    temperatures = tuple(fit_temperature(combine(log_probs[list(order[:stage + 1])], method), labels)
                         for stage in range(len(order)))
    return Cascade(tuple(order), method, confidence, (np.inf,) * (len(order) - 1), temperatures)


def at_threshold(cascade: Cascade, threshold: float) -> Cascade:
    """The same with one threshold for all stages; one member always agrees with itself, so agreement begins at two."""
    thresholds = [threshold] * (len(cascade.order) - 1)
    if cascade.confidence == "agreement":
        thresholds[0] = np.inf
    return replace(cascade, thresholds=tuple(thresholds))


def design(log_probs: np.ndarray, labels: np.ndarray, subset: Subset, macs: Sequence[float], method: str) -> Cascade:
    """The cascade of an ensemble by the simplest rule: cheapest first, largest probability, no temperature, and the
    lowest threshold for all stages that, like every higher one, costs no accuracy on validation.

    A low threshold that happens to do well below others that do not is luck, and is not taken.
    log_probs [members, images, classes] and labels [images] of validation; macs per member.
    """
    order = tuple(sorted(subset, key=lambda member: macs[member]))
    best = Cascade(order, method, "probability", (np.inf,) * (len(order) - 1), (1.0,) * len(order))
    confidence, right = _confidences(log_probs, best), _right(log_probs, labels, best)
    for threshold in THRESHOLDS[::-1]:
        tried = at_threshold(best, float(threshold))
        stage = stage_that_answers(confidence, tried.thresholds)
        if right[stage, np.arange(len(labels))].mean() < right[-1].mean():
            break
        best = tried
    return best


def curve(log_probs: np.ndarray, labels: np.ndarray, subset: Subset, costs: Sequence[float], method: str,
          score: Callable[[np.ndarray, np.ndarray], np.ndarray] = correct, *,
          confidences: Sequence[str] = CONFIDENCES, most: int = 12) -> list[Point]:
    """The trade-off of an ensemble's cascades on validation: the Pareto front of accuracy and mean cost, cheapest
    first, thinned to `most` points, over orders, confidences, one threshold for all stages and thresholds per stage.

    log_probs [members, images, classes] and labels [images] of validation; costs per member (MACs). score: of a
    prediction [images, classes] with the labels, what it is worth on every image, larger is better. Where every image
    stops at the first member, or none stops early, it is no cascade and left out; so the curve may be empty.
    """
    bases = [calibrated(log_probs, labels, order, method) for order in orders(log_probs, labels, subset, costs)]
    found = []
    for base in bases:
        worth, votes = [], _votes(log_probs, base)
        sure: dict[str, list[np.ndarray]] = {confidence: [] for confidence in confidences}
        for stage, one in enumerate(_answers(log_probs, base), start=1):
            worth.append(score(one, labels))
            for confidence, stages in sure.items():
                stages.append(_sureness(one, confidence, votes[:stage]))
        for confidence, stages in sure.items():
            found += _points(np.array(stages), np.array(worth), replace(base, confidence=confidence), costs)
    if not found:
        return []
    front = pareto_front(np.array([point.cost for point in found]), np.array([point.accuracy for point in found]))
    best = {(point.cost, point.accuracy): point for point, on_front in zip(found, front, strict=True) if on_front}
    kept = [best[key] for key in sorted(best)]
    return [kept[i] for i in sorted({round(i) for i in np.linspace(0, len(kept) - 1, min(most, len(kept)))})]


def promised(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade, loss: float, confidence: float = 0.95,
             among: int = 1) -> Cascade | None:
    """This cascade with the lowest threshold for all stages that, with this confidence, loses at most `loss` of
    accuracy against asking every member; None where none can be promised (see `bounds.images_needed`).

    Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052), by fixed-sequence testing: thresholds that were fixed
    beforehand are tested from the highest down, each by the exact `bounds.loses_less`, until one fails. The chance that
    any of those that passed loses more is at most 1 - confidence, however many there are.
    It holds for the order, confidence and temperatures as given: those should come from other images, or the promise
    is as good only as what choosing them on these very images leaves of it (docs/results/cascades.md).
    among: so many cascades are judged on the same images, and the one to be used is chosen by that; they share the
    1 - confidence (Bonferroni). log_probs [members, images, classes] and labels [images] of validation.
    """
    sure, right = _confidences(log_probs, cascade), _right(log_probs, labels, cascade)
    kept = None
    for threshold in _ladder(cascade):
        tried = at_threshold(cascade, threshold)
        early = right[stage_that_answers(sure, tried.thresholds), np.arange(len(labels))]
        worse, better = int((right[-1] & ~early).sum()), int((early & ~right[-1]).sum())
        if not loses_less(worse, better, len(labels), loss, (1 - confidence) / among):
            break
        kept = tried
    return kept


def _ladder(cascade: Cascade) -> list[float]:
    """The thresholds that `promised` tries, highest first; they depend on no image."""
    if cascade.confidence == "agreement":
        members = len(cascade.order)
        return sorted({votes / asked for asked in range(2, members) for votes in range(1, asked + 1)}, reverse=True)
    doubts = np.concatenate([np.geomspace(1e-5, 0.02, 34), np.linspace(0.03, 1, 98)])
    return list(-doubts * 3 if cascade.confidence == "entropy" else 1 - doubts)


def _points(sure: np.ndarray, worth: np.ndarray, base: Cascade, costs: Sequence[float]) -> list[Point]:
    """Every cascade of this order, confidence and temperatures that `curve` tries: sure, worth [stages, images] of the
    answers of every stage."""
    summed = np.cumsum([costs[member] for member in base.order], dtype=np.float64)
    first_that_stops = 1 if base.confidence == "agreement" and len(base.order) > 2 else 0
    levels = np.unique(np.quantile(sure[first_that_stops], np.linspace(0, 1, LEVELS + 1)))
    tried = [at_threshold(base, float(level)).thresholds for level in levels]
    if len(base.order) > 2:
        ranked = np.argsort(-sure[:-1], axis=1, kind="stable")
        tried += [best_thresholds(sure, worth, ranked, summed / summed[-1] * price) for price in PRICES]
    found = []
    for thresholds in dict.fromkeys(tried):
        stage = stage_that_answers(sure, thresholds)
        if stage.max() > 0 and stage.min() < len(base.order) - 1:
            mean = float(worth[stage, np.arange(len(stage))].mean(dtype=np.float64))
            found.append(Point(replace(base, thresholds=thresholds), mean, float(summed[stage].mean())))
    return found


def _answers(log_probs: np.ndarray, cascade: Cascade) -> Iterator[np.ndarray]:
    """The combined prediction [images, classes] after each member."""
    for stage, temperature in enumerate(cascade.temperatures):
        combined = combine(log_probs[list(cascade.order[:stage + 1])], cascade.combine)
        yield tempered(combined, temperature)


def _right(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade) -> np.ndarray:
    """[stages, images]"""
    return np.array([correct(one, labels) for one in _answers(log_probs, cascade)])


def _confidences(log_probs: np.ndarray, cascade: Cascade) -> np.ndarray:
    """[stages, images]; that of the last stage decides nothing."""
    votes = _votes(log_probs, cascade)
    return np.array([_sureness(one, cascade.confidence, votes[:stage])
                     for stage, one in enumerate(_answers(log_probs, cascade), start=1)])


def _votes(log_probs: np.ndarray, cascade: Cascade) -> np.ndarray:
    """The class of every member [members, images], in the order in which they are asked."""
    return log_probs[list(cascade.order)].argmax(axis=2)


def _sureness(answer: np.ndarray, confidence: str, votes: np.ndarray) -> np.ndarray:
    """How sure a stage's answer is; votes: of the members asked so far."""
    if confidence == "agreement":
        return np.mean(votes == answer.argmax(axis=1), axis=0)
    if confidence == "probability":
        return np.exp(highest(answer))
    if confidence == "margin":
        second, first = np.partition(answer, -2, axis=1)[:, -2:].T
        return np.exp(first) - np.exp(second)
    return (np.exp(answer) * np.maximum(answer, LEAST)).sum(axis=1)
