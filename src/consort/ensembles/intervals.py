"""How sure a difference is: for these very networks on other images, and for the same recipes trained again.

Two questions, two intervals. "These networks": the images are drawn, the members stay; a paired bootstrap. "Trained
again": the members' seeds are drawn too; what a seed changes for good is estimated from all architectures that have two
seeds or more. Formulas and what they cover: docs/definitions.md, docs/results/intervals.md.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from consort.ensembles.bounds import mcnemar, never_seen

FEW = 10
"""Images that differ, below which McNemar's exact test has to agree that a difference is none of chance."""

OWN_SEEDS = 5
"""From so many seeds on an architecture's own seed variance counts where it is larger than the pooled one."""

ONE_SEED = "unknown until some network is trained with two seeds"
"""Also where all are imported, and have one seed each for good: any network that is trained with two seeds will do."""
FEW_SEEDS = "unknown from so few seeds, train more of {architecture}"

LEAST_FREEDOM = 1.0
"""Degrees of freedom below which a variance is not known: a t interval then reaches from bound to bound, or nearly."""


@dataclass(frozen=True)
class Interval:
    """Of a metric or of a difference of two: of accuracies as fractions."""

    low: float
    high: float

    @property
    def resolved(self) -> bool:
        """Whether 0 is outside: the sign of the difference is known."""
        return self.low > 0 or self.high < 0

    @property
    def width(self) -> float:
        return self.high - self.low

    def within(self, margin: float) -> bool:
        """"As good within the margin", where this is a 90 % interval: two one-sided tests at 5 % (Schuirmann 1987)."""
        return self.low > -margin and self.high < margin

    def not_worse(self, margin: float) -> bool:
        """"Not worse by more than the margin", where this is a 90 % interval: one test at 5 %."""
        return self.low > -margin


def of_difference(difference: np.ndarray, resampled: np.ndarray, confidence: float = 0.95,
                  one_image: float = 1.0) -> Interval:
    """Of a paired difference of scores, for these very networks on other images like these.

    difference [images]: right minus right, -1..1 (fractions where rows are means over subsets), or of the scores of
    another metric; resampled [resamples]: the same difference of the bootstrap's means. Percentile interval (Efron and
    Tibshirani 1993, chapter 13). It is never [0, 0]: N images on which nothing differs leave +-3 / N, times
    `one_image`, what one of them is worth; and of fewer than FEW images that differ it says no sign that McNemar's
    exact test, which is a sign test, does not confirm.
    """
    low, high = _percentiles(resampled, confidence)
    if low == high:
        unseen, mean = one_image * never_seen(len(difference), confidence), float(np.mean(difference))
        largest = max(1.0, abs(mean))
        return Interval(max(-largest, mean - unseen), min(largest, mean + unseen))
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if better + worse < FEW and mcnemar(better, worse) > 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(low, high)


def of_mean(scores: np.ndarray, one_image: float, confidence: float = 0.95) -> Interval:
    """Of the mean of scores [images] on other images like these: normal, with two images more, one `one_image` above
    the mean and one below, so that equal scores leave more than nothing."""
    mean, images = float(scores.mean(dtype=np.float64)), len(scores) + 2
    variance = (float(((scores - mean)**2).sum(dtype=np.float64)) + 2 * one_image**2) / images
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt(variance / images))
    return Interval(mean - half, mean + half)


def of_loss(losses: np.ndarray, one_image: float, confidence: float = 0.95) -> Interval:
    """Of the mean of losses [images], none below 0, on other images like these: that of `of_mean` on the scale of the
    logarithm, since few images have most of the loss. Where it reaches down to 0, its upper end goes on in a straight
    line, as what is lost next to nothing has no logarithm to speak of."""
    mean, half = float(losses.mean(dtype=np.float64)), of_mean(losses, one_image, confidence).width / 2
    if mean <= 0:
        return Interval(0.0, half)
    return Interval(mean * math.exp(-half / mean), mean * math.exp(min(1.0, half / mean)) + max(0.0, half - mean))


def of_recalls(right: np.ndarray, labels: np.ndarray, confidence: float = 0.95) -> Interval:
    """Of the mean of the classes' recalls on other images like these, as many of each class. right bool [images].

    Normal, after 4 images more, half of them right, shared out among the K classes that are there (Price and Bonett
    2004, for linear functions of proportions): so recalls of 100 % leave more than nothing. That images of one class
    count more is no variance. What was seen is inside, which below 95 % it might not be.
    """
    counts = np.bincount(labels)
    there = counts > 0
    num = int(there.sum())
    images, rights = counts[there] + 4 / num, np.bincount(labels, weights=right)[there]
    recalls = (rights + 2 / num) / images
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt((recalls * (1 - recalls) / images).sum())) / num
    centre, seen = float(recalls.mean()), float((rights / counts[there]).mean())
    return Interval(min(centre - half, seen), max(centre + half, seen))


def simultaneous(gains: np.ndarray, resampled: np.ndarray, images: int, confidence: float = 0.95) -> list[Interval]:
    """Intervals that hold together: with this confidence all of these rows' gains are inside theirs at once.

    gains [rows], resampled [resamples, rows] from the same resamples of the images. Max-t (Romano and Wolf 2005): c is
    the quantile over the resamples of the largest |resampled - gain| / standard error among the rows. A row that never
    varies gets what `images` leave at the confidence divided by the rows.
    """
    errors = resampled.std(axis=0, ddof=1)
    vary = errors > 0
    half = np.full(len(gains), never_seen(images, 1 - (1 - confidence) / max(1, len(gains))))
    if vary.any():
        largest = (np.abs(resampled[:, vary] - gains[vary]) / errors[vary]).max(axis=1)
        half[vary] = np.quantile(largest, confidence) * errors[vary]
    return [Interval(float(gain - h), float(gain + h)) for gain, h in zip(gains, half, strict=True)]


@dataclass(frozen=True)
class Unknown:
    """Instead of an interval."""

    why: str
    """In a few words, with what would make it known; they stand where the interval would."""


@dataclass(frozen=True)
class Seeds:
    """What a new training changes and more images do not: variances of a metric over seeds."""

    lasting: Mapping[str, float]
    """tau^2 of each architecture: the pooled one, or its own where that is larger and has OWN_SEEDS or more."""
    pooled: float
    """tau^2 over all architectures with two seeds or more."""
    observed: float
    """s^2, the pooled variance of the members' mean scores, which holds the images' part too."""
    freedom: int
    """Degrees of freedom: seeds beyond the first, summed over the architectures."""
    imported: Sequence[str] = ()
    """Architectures of which no further seed can be trained."""


def pooled_seed_variance(scores: np.ndarray, architectures: Sequence[str],
                         imported: Collection[str] = ()) -> Seeds | None:
    """From what each member scores on every image [members, images] (bool: whether it is right), and each member's
    architecture (its recipe included); None where every architecture has one seed.

    tau^2 = sum of (n - 1)(s^2 - v) / sum of (n - 1) over the architectures, at least 0: s^2 the variance over its n
    seeds of the mean score, v the part of it that another draw of images would give: the mean over images of the
    variance over seeds of the score, divided by the number of images. More images are better: give validation and test
    together.
    """
    numbers = {name: [i for i, own in enumerate(architectures) if own == name] for name in dict.fromkeys(architectures)}
    found = {name: _seed_variance(scores[members]) for name, members in numbers.items() if len(members) > 1}
    freedom = sum(len(numbers[name]) - 1 for name in found)
    if not freedom:
        return None

    def mean(values: Mapping[str, float]) -> float:
        return sum((len(numbers[name]) - 1) * value for name, value in values.items()) / freedom

    pooled = max(0.0, mean({name: lasting for name, (_, lasting) in found.items()}))
    lasting = {name: max(pooled, found[name][1]) if len(members) >= OWN_SEEDS else pooled
               for name, members in numbers.items()}
    return Seeds(lasting, pooled, mean({name: observed for name, (observed, _) in found.items()}), freedom,
                 sorted(imported))


def _seed_variance(scores: np.ndarray) -> tuple[float, float]:
    """(s^2, s^2 - v) of one architecture's seeds: scores [seeds, images]."""
    observed = scores.mean(axis=1, dtype=np.float64).var(ddof=1)
    share = scores.mean(axis=0, dtype=np.float64)
    spread = share * (1 - share) if scores.dtype == bool else scores.var(axis=0, dtype=np.float64)
    by_images = spread.mean() * len(scores) / (len(scores) - 1) / scores.shape[1]
    return float(observed), float(observed - by_images)


def member_shares(subsets: Sequence[Sequence[int]], members: int) -> np.ndarray:
    """How much the luck of each member moves a row, float64 [members]: the mean over its subsets of 1 / their size."""
    total = np.zeros(members)
    for subset in subsets:
        total[list(subset)] += 1 / len(subset)
    return total / len(subsets)


def member_weights(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]], members: int) -> np.ndarray:
    """How much the luck of each member moves the difference of two rows: its share in the one minus that in the
    other."""
    return member_shares(one, members) - member_shares(other, members)


def trained_again(gain: float, image_variance: float, weights: np.ndarray, architectures: Sequence[str],
                  seeds: Seeds | None, confidence: float = 0.95, largest: float = 1.0) -> Interval | Unknown:
    """Of a difference, for the same recipes trained again, on average over seeds. Unknown where every architecture has
    one seed, and where the seeds are so few that the interval has less than LEAST_FREEDOM or leaves nothing out.

    gain: the difference of two rows' means over their subsets. image_variance: V1, that of the gain over images
    (`image_variance_of`, above 0). weights: `member_weights`; architectures: of each member. largest: that a difference
    can be, of accuracies 1.
    V2 = V1 + sum of weight^2 tau^2, with Satterthwaite's degrees of freedom, as tau^2 is known only so well.
    """
    if seeds is None:
        return Unknown(ONE_SEED)
    from scipy.special import stdtrit

    by_seeds = sum(weight**2 * seeds.lasting[name] for weight, name in zip(weights, architectures, strict=True))
    variance = image_variance + by_seeds
    uncertain = float((weights**2).sum()) * seeds.observed
    freedom = seeds.freedom * variance**2 / uncertain**2 if uncertain > 0 else np.inf
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * float(np.sqrt(variance))
    low, high = max(-largest, gain - half), min(largest, gain + half)
    if freedom < LEAST_FREEDOM or (low, high) == (-largest, largest):
        return Unknown(FEW_SEEDS.format(architecture=_weightiest(weights, architectures, seeds)))
    return Interval(low, high)


def _weightiest(weights: np.ndarray, architectures: Sequence[str], seeds: Seeds) -> str:
    """The architecture whose seeds move a difference most, of those that can be trained: there another seed tells most.
    """
    moved = {name: 0.0 for name in (*architectures, *seeds.lasting) if name not in seeds.imported}
    for weight, name in zip(weights, architectures, strict=True):
        if name in moved:
            moved[name] += float(weight)**2
    return max(moved, key=lambda name: moved[name])


def image_variance_of(difference: np.ndarray) -> float:
    """V1: the variance of a mean paired difference [images] over other draws of as many images. Where nothing differs
    it is that of a difference on one image in N, not 0."""
    images = len(difference)
    return max(float(np.var(difference, ddof=1)) / images if images > 1 else 0.0, images**-2)


def _percentiles(resampled: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
