"""Cascades: an ensemble's members asked in order, cheapest first, until the answer so far is confident enough.

Wang, Kondratyuk et al. 2022 (arXiv 2012.01988): the confidence is the largest probability of the combined prediction
so far, and one threshold serves all stages. The threshold is chosen on validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.ensembles.composition import Subset, combine
from consort.ensembles.metrics import correct

THRESHOLDS = np.append(np.linspace(0.0, 1.0, 201), np.inf)
"""Candidates; at the last one nobody stops early."""


@dataclass(frozen=True)
class Cascade:
    """Members in the order in which they are asked, and the confidence at which the answer so far is given."""

    order: Subset
    threshold: float


def design(log_probs: np.ndarray, labels: np.ndarray, subset: Subset, macs: Sequence[int], method: str) -> Cascade:
    """The cascade of an ensemble: the lowest threshold that, like every higher one, costs no accuracy on validation.

    A low threshold that happens to do well below others that do not is luck, and is not taken.
    log_probs [members, images, classes] and labels [images] of validation; macs per member.
    """
    order = tuple(sorted(subset, key=lambda member: macs[member]))
    confidence, right = _stages(log_probs, labels, order, method)
    best = THRESHOLDS[-1]
    for threshold in THRESHOLDS[::-1]:
        stage = _stopped_at(confidence, threshold)
        if right[stage, np.arange(len(labels))].mean() < right[-1].mean():
            break
        best = threshold
    return Cascade(order, float(best))


def run(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade, macs: Sequence[int],
        method: str) -> tuple[float, float]:
    """(accuracy, mean MACs per image) of a cascade on a test set."""
    confidence, right = _stages(log_probs, labels, cascade.order, method)
    stage = _stopped_at(confidence, cascade.threshold)
    costs = np.cumsum([macs[member] for member in cascade.order])
    return float(right[stage, np.arange(len(labels))].mean()), float(costs[stage].mean())


def _stages(log_probs: np.ndarray, labels: np.ndarray, order: Subset, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness [stages, images] of the prediction after each member."""
    so_far = [combine(log_probs[list(order[:stage + 1])], method) for stage in range(len(order))]
    return (np.array([np.exp(prediction.max(axis=1)) for prediction in so_far]),
            np.array([correct(prediction, labels) for prediction in so_far]))


def _stopped_at(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """The stage [images] at which each image's answer is given; the last one answers in any case."""
    enough = confidence >= threshold
    enough[-1] = True
    return enough.argmax(axis=0)
