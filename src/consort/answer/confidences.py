"""What each way to be sure is worth to the cascades of one ensemble.

A candidate decides by the one that is best on validation; this says once what the others would have given.

Two halves that share no data, as in answer.candidates: `compare` sees validation only, `measure` the test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consort.answer.choices import Confidence, Confidences
from consort.ensembles.cascades import CONFIDENCES, Cascade, Point, accuracies, curve, orders
from consort.ensembles.composition import Subset

BOUNDS = 9
"""On the mean MACs, in even steps between the cheapest member alone and every member."""


@dataclass(frozen=True)
class Compared:
    """What validation chooses, before any test image is looked at."""

    label: str
    """Of the ensemble."""
    best: Mapping[str, Sequence[Point]]
    """Confidence -> the best cascade on validation within each of the bounds."""


def compare(label: str, subset: Subset, log_probs: np.ndarray, labels: np.ndarray, macs: Sequence[float],
            method: str) -> Compared:
    """Of the cascades of an ensemble with each confidence: log_probs [members, validation images, classes], labels
    [validation images], macs of every member. Within a bound that no cascade keeps it is the cheapest member alone."""
    order = orders(log_probs, labels, subset, macs)[0]
    least, most = macs[order[0]], sum(macs[member] for member in order)
    bounds = np.linspace(least, most, BOUNDS + 2)[1:-1]
    best = {}
    for confidence in CONFIDENCES:
        alone = Cascade(order, method, confidence, (-np.inf,) * (len(order) - 1), (1.0,) * len(order))
        tried = [Point(alone, accuracies(log_probs, labels, [alone])[0], least),
                 *curve(log_probs, labels, subset, macs, method, confidences=(confidence,), most=len(labels))]
        best[confidence] = [max((point for point in tried if point.cost <= bound),
                                key=lambda point: (point.accuracy, -point.cost)) for bound in bounds]
    return Compared(label, best)


def measure(compared: Compared, log_probs: np.ndarray, labels: np.ndarray) -> Confidences:
    """The same on the test images: the mean accuracy over the bounds with each confidence, the best on validation
    first."""
    found = [Confidence(name, float(np.mean([point.accuracy for point in points])),
                        float(np.mean(accuracies(log_probs, labels, [point.cascade for point in points]))))
             for name, points in compared.best.items()]
    return Confidences(compared.label, BOUNDS, tuple(sorted(found, key=lambda one: -one.val_accuracy)))
