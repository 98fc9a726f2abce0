"""What a prediction scores on every image. A metric is the mean of these scores over the images.

The scores of every metric have one shape, [images], and one direction, larger is better: what is chosen, the standard
error of a difference and the bootstrap over the images are then the same for all of them.
"""

import numpy as np

from consort.ensembles.metrics import correct

FINEST = 2**32
"""Weights are whole multiples of 1 / FINEST, so that their sums have no rounding error in any order: two predictions
that are right about as many images of each class have equal balanced accuracies."""


def image_scores(metric: str, log_probs: np.ndarray, labels: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """[images]: accuracy, whether it is right (bool); balanced accuracy, the same times `class_weights`; nll, the
    log-probability of the true class, in nats, so that the NLL is the mean's negative. right: `correct` of them, where
    that is known."""
    if metric == "nll":
        return log_probs[np.arange(len(labels)), labels]
    right = correct(log_probs, labels) if right is None else right
    return right if metric == "accuracy" else right * class_weights(labels)


def class_weights(labels: np.ndarray) -> np.ndarray:
    """What an image counts so that every class that is there counts alike (mean 1): images / (classes x images of its
    class)."""
    counts = np.bincount(labels)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return (np.round(FINEST * weights) / FINEST)[labels]


def guess_scores(metric: str, counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[images] of the best answer that is the same for every image. counts: images of each class, by which it is
    chosen: the most frequent class, or for nll the classes' shares (one image more of each, so that none is
    impossible)."""
    if metric == "nll":
        return np.log((counts + 1) / (counts + 1).sum())[labels]
    right = labels == counts.argmax()
    return right if metric == "accuracy" else right * class_weights(labels)


def one_image(metric: str, labels: np.ndarray) -> float:
    """What one image more or less is worth, root mean square: what no image has shown is bounded by it. 1 nat for
    nll."""
    return float(np.sqrt(np.mean(class_weights(labels)**2))) if metric == "balanced_accuracy" else 1.0


def value_of(metric: str, scores: np.ndarray) -> float:
    """The metric of these scores [images]: 0..1, or nats, where smaller is better."""
    mean = float(scores.mean(dtype=np.float64))
    return 0.0 - mean if metric == "nll" else mean
