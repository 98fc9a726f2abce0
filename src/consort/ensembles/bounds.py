"""Bounds from counts of images, where a bootstrap has too little to resample."""

from functools import cache
from statistics import NormalDist

import numpy as np

SHARES = 24
"""Of images that differ: so many are tried for the least favourable."""


def never_seen(images: int, confidence: float = 0.95) -> float:
    """The share that something may have at most, with this confidence, which none of so many images showed: about
    3 / images at 95 % (the rule of three; exactly, 1 - (1 - confidence)^(1 / images))."""
    return float(-np.expm1(np.log1p(-confidence) / images))


def wilson(share: float, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share of so many images (Wilson 1927); it is never of width 0."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * images)
    half = z * float(np.sqrt(share * (1 - share) / images + z * z / (4 * images**2)))
    stretch = 1 + z * z / images
    return max((middle - half) / stretch, 0.0), min((middle + half) / stretch, 1.0)


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p-value that two predictions are equally accurate (McNemar 1947): images on which only the one
    is right, and only the other."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(one, other), one + other, 0.5))) if one + other else 1.0


def loss_p_value(worse: int, better: int, images: int, loss: float, spent: float = 0.005) -> float:
    """p-value of "what stops early loses at least `loss` of accuracy", an exact test on paired images.

    worse: images that only the whole ensemble gets right; better: that only the early answer does. Their numbers are
    trinomial with shares q + loss and q, q unknown. The p-value is the probability of a net loss (worse - better) no
    larger than the one seen, at the least favourable share of images that differ, of those up to its exact upper bound
    (Clopper and Pearson 1934) at level `spent`, which is added (Berger and Boos 1994). 0 < loss < 1.
    """
    from scipy.stats import beta, binom

    net, differing = worse - better, worse + better
    if net >= loss * images:
        return 1.0
    most = float(beta.isf(spent, differing + 1, images - differing)) if differing < images else 1.0
    if most <= loss:
        return spent
    shares = np.geomspace(loss, most, SHARES)[:, None]
    numbers = np.arange(int(binom.isf(1e-9, images, most)) + 1)
    # worse + better = number and worse - better <= net.
    smaller = binom.cdf(np.floor((net + numbers) / 2), numbers, (shares + loss) / (2 * shares))
    largest = float((binom.pmf(numbers, images, shares) * smaller).sum(axis=1).max()) + 1e-9
    return min(1.0, largest + spent)


def loses_less(worse: int, better: int, images: int, loss: float, error: float) -> bool:
    """Whether `loss_p_value` says so at an error probability; a tenth of it is spent on how often they differ."""
    return loss_p_value(worse, better, images, loss, error / 10) <= error


@cache
def images_needed(loss: float, confidence: float = 0.95, among: int = 1) -> int:
    """How many validation images a promise of at most this loss takes at least: so many without a single one on which
    stopping early changes anything for the worse or the better."""
    error, enough = (1 - confidence) / among, 1
    while not loses_less(0, 0, enough, loss, error):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if loses_less(0, 0, middle, loss, error):
            enough = middle
        else:
            too_few = middle
    return enough
