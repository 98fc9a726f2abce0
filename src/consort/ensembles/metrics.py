"""How good, how well calibrated and how diverse predictions are; numpy alone, scipy for one minimisation.

Predictions are log-probabilities [images, classes] whose rows are normalised; labels are class numbers [images].
A prediction is correct iff the true class scores above every other by more than rounding (TIE): a tie decides nothing,
so a network that gives every class the same score has accuracy 0, whatever order the classes stand in.
"""

from dataclasses import dataclass

import numpy as np

NUM_BINS = 15
"""Equal-width bins of confidence, as in Guo et al. 2017 and in most reports on CIFAR."""

TIE = 1e-6
"""A smaller lead of the log-probability, which is rounding of float32, counts as a tie; so does a smaller lead of the
probability, as a share of it. The one rule for ties, of members and of ensembles."""

LARGEST_TEMPERATURE = 10.0
"""Temperatures are looked for between this and 1 over this; trained networks need 0.5 to 5."""

TEMPERATURE_SPREAD = 0.5
"""Standard deviation of log T that is believed before any image is seen: 0.4 to 2.7 for 19 networks of 20."""

CHUNK_BYTES = 2**24


def correct(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images are predicted correctly (bool [images]): the true class above every other by more than TIE."""
    images = np.arange(len(labels))
    others = np.array(log_probs)
    true = log_probs[images, labels]
    others[images, labels] = -np.inf
    return true - highest(others) > TIE


def highest(scores: np.ndarray) -> np.ndarray:
    """The highest score over the last axis, the classes. numpy finds where it is many times as fast as its value."""
    found: np.ndarray = np.take_along_axis(scores, scores.argmax(axis=-1, keepdims=True), axis=-1)[..., 0]
    return found


def accuracy(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Share of correct predictions, 0..1."""
    return float(correct(log_probs, labels).mean())


def nll(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Negative log-likelihood: the mean over images of -log p(true class), in nats."""
    return -float(log_probs[np.arange(len(labels)), labels].mean(dtype=np.float64))


def brier(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Brier score: the mean over images of the sum over classes of (p - [class is true])^2, 0..2 (Brier 1950)."""
    probs = np.exp(log_probs)
    true = probs[np.arange(len(labels)), labels]
    return float((np.einsum("nc,nc->n", probs, probs) - 2 * true + 1).mean(dtype=np.float64))


def fit_temperature(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T that minimises the NLL of softmax(log_probs / T) on these (validation) images, plus
    (log T)^2 / (2 TEMPERATURE_SPREAD^2 images).

    One scalar (Guo et al. 2017, section 4.2), found by bounded minimisation over log T. The second summand is a normal
    prior: some hundred images without a mistake would take T towards 0, and the first mistake on others would then cost
    dearly; with thousands of images it changes the third digit. Softmax forgets an added constant, so log-probabilities
    serve as well as logits. `temperature_note` says where the bound was reached.
    """
    from scipy.optimize import minimize_scalar

    top = highest(log_probs)
    # Classes first: the sum over classes then adds whole rows of images.
    below = np.ascontiguousarray((log_probs - top[:, None]).T)
    true_below = float((log_probs[np.arange(len(labels)), labels] - top).mean(dtype=np.float64))
    scratch = np.empty_like(below)

    def loss(log_temperature: float) -> float:
        inverse = float(np.exp(-log_temperature))
        np.multiply(below, inverse, out=scratch)
        normaliser = np.log(np.exp(scratch, out=scratch).sum(axis=0))
        return float(normaliser.mean(dtype=np.float64)) - inverse * true_below + penalty * log_temperature**2

    penalty = 1 / (2 * TEMPERATURE_SPREAD**2 * len(labels))
    bound = float(np.log(LARGEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def temperature_note(temperature: float) -> str | None:
    """What to say where a fitted temperature is at its bound; None where it is not."""
    if abs(np.log(temperature)) < np.log(LARGEST_TEMPERATURE) - 1e-3:
        return None
    why = "are hardly better than guesses" if temperature > 1 else "are far less sure than they are right"
    return (f"the temperature stopped at its bound, {temperature:.3g}: on validation the predictions {why}, and a "
            "calibration at its bound is none to rely on")


@dataclass(frozen=True)
class Reliability:
    """Per bin of confidence ((0, 1/bins], ..., (1 - 1/bins, 1]): means are nan where the bin is empty."""

    confidence: np.ndarray
    """Mean confidence [bins]."""
    accuracy: np.ndarray
    """Share of correct predictions [bins]."""
    count: np.ndarray
    """Images [bins]."""


def reliability(log_probs: np.ndarray, labels: np.ndarray, bins: int = NUM_BINS) -> Reliability:
    """Confidence (the highest probability of an image) against accuracy, in equal-width bins."""
    confidence = np.exp(highest(log_probs).astype(np.float64))
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    right = correct(log_probs, labels)
    return Reliability(np.bincount(which, confidence, bins) / some, np.bincount(which, right, bins) / some, count)


def ece(log_probs: np.ndarray, labels: np.ndarray, bins: int = NUM_BINS) -> float:
    """Expected calibration error: sum over bins of the bin's share of images x |accuracy - confidence|, 0..1
    (Guo et al. 2017, equation 3)."""
    binned = reliability(log_probs, labels, bins)
    gaps = np.abs(binned.accuracy - binned.confidence)
    return float(np.nansum(gaps * binned.count) / binned.count.sum())


def disagreement(predictions: np.ndarray) -> np.ndarray:
    """Share of images on which two members predict different classes: predictions [members, images] of class
    numbers to a symmetric float64 [members, members], 0 on the diagonal."""
    return np.array([(predictions != one).mean(axis=1) for one in predictions])


def error_correlation(wrong: np.ndarray) -> np.ndarray:
    """Pearson correlation of two members' errors (1 wrong, 0 right): wrong [members, images] of bool to a symmetric
    float64 [members, members]; nan where a member is always right or always wrong."""
    errors = wrong.astype(np.float64)
    share = errors.mean(axis=1)
    spread = np.sqrt(share * (1 - share))
    spread[spread == 0] = np.nan
    covariance = errors @ errors.T / errors.shape[1] - np.outer(share, share)
    return covariance / np.outer(spread, spread)


def mean_over_pairs(matrix: np.ndarray, members: tuple[int, ...]) -> float | None:
    """The mean of a pairwise measure over these members' pairs that have one (not nan); None where no pair has."""
    rows, columns = np.triu_indices(len(members), k=1)
    index = np.array(members)
    values = matrix[index[rows], index[columns]]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def oracle_accuracy(right: np.ndarray) -> float:
    """Share of images that at least one member predicts correctly; right is bool [members, images]."""
    return float(right.any(axis=0).mean())


def bootstrap_means(scores: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """The mean score of every row in every bootstrap resample of the images: float64 [resamples, rows].

    scores [rows, images]. All rows see the same resamples (images drawn with replacement), so the difference of two
    columns is a paired bootstrap of the difference of two rows (Efron and Tibshirani 1993, chapter 8). A resample is
    the number of times that each image was drawn, and resampled means are one matrix product. Whole-numbered scores
    give exact sums, so equal rows give equal results. Deterministic in `seed`; memory stays near 50 MB.
    """
    rows, images = scores.shape
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, rows))
    chunk = max(1, CHUNK_BYTES // (8 * images))
    for start in range(0, resamples, chunk):
        stop = min(start + chunk, resamples)
        drawn = np.empty((stop - start, images))
        for one in drawn:
            one[:] = np.bincount(rng.integers(images, size=images), minlength=images)
        for first in range(0, rows, chunk):
            part = scores[first:first + chunk].astype(np.float64)
            means[start:stop, first:first + chunk] = drawn @ part.T
    return means / images


def interval(resampled: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of resampled values over axis 0: (low, high), each of the remaining shape."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def pareto_front(costs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which points no other point dominates (bool [points]).

    A point is dominated where another costs no more and is worth no less, and one of the two strictly. Equal points
    stand on the front together; a nan cost is unknown and never on it.
    """
    known = ~np.isnan(costs)
    front = np.zeros(len(costs), dtype=bool)
    best_of_cheaper = -np.inf
    for cost in np.unique(costs[known]):
        level = known & (costs == cost)
        best = values[level].max()
        if best > best_of_cheaper:
            front |= level & (values == best)
            best_of_cheaper = best
    return front
