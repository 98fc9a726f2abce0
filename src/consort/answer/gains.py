"""How much better one candidate is than another on the test images, with its two intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from consort.answer.choices import Anew, Candidate, Choices, Gain
from consort.answer.evidence import RESAMPLES, Evidence
from consort.answer.metric import largest_difference
from consort.ensembles.intervals import (
    Interval,
    Unknown,
    image_variance_of,
    member_weights,
    of_difference,
    of_mean,
    trained_again,
)

EQUIVALENCE = 0.9
"""Two one-sided tests at 5 % are one interval at 90 %."""


@dataclass(frozen=True)
class Paired:
    """The scores of one candidate minus those of another, or of always giving the same answer."""

    difference: np.ndarray
    """[test images]: whole numbers of accuracies"""
    resampled: np.ndarray
    """Its mean in resamples of the images."""
    one_image: float
    """What an image more or less is worth."""

    def gain(self, confidence: float) -> Gain:
        """For these very networks alone. Scores that are no whole numbers can differ most on images that few test sets
        have: their interval is no narrower than a normal one with two images more."""
        interval = of_difference(self.difference, self.resampled, confidence, self.one_image)
        if not np.issubdtype(self.difference.dtype, np.integer):
            normal = of_mean(self.difference, self.one_image, confidence)
            interval = Interval(min(interval.low, normal.low), max(interval.high, normal.high))
        return Gain(float(self.difference.mean(dtype=np.float64)), interval.low, interval.high, interval.resolved)


def paired(evidence: Evidence, one: int, other: int | None) -> Paired:
    """Numbers of candidates; other None: always giving the same answer."""
    first, second = evidence.test[one], evidence.majority if other is None else evidence.test[other]
    if evidence.test.dtype == bool:
        return Paired(*_of_bits(first, second), evidence.one_image[1])
    resampled = evidence.resampled[:, one] - evidence.resampled[:, -1 if other is None else other]
    # Rounded: what rounding of the sums leaves of equal scores is no difference.
    return Paired(first.astype(np.float64) - second, resampled.round(12), evidence.one_image[1])


def _of_bits(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The paired bootstrap of the images needs only how many images each of the two alone is right about, since a
    resample of the images has a multinomial number of each kind (always from the same seed)."""
    difference = one.astype(np.int8) - other.astype(np.int8)
    images, better, worse = len(one), int((difference > 0).sum()), int((difference < 0).sum())
    shares: Sequence[float] = (better / images, worse / images, (images - better - worse) / images)
    drawn = np.random.default_rng(0).multinomial(images, shares, size=RESAMPLES)
    return difference, (drawn[:, 0] - drawn[:, 1]) / images


def gain(one: Candidate, other: Candidate, apart: Paired, found: Choices) -> Gain:
    """By how much `one` is better than `other`. found: what another training changes, the confidence of the intervals,
    and the margin within which two are as good."""
    over = apart.gain(found.interval)
    if found.margin is not None:
        narrow = apart.gain(EQUIVALENCE)
        within = Interval(narrow.low, narrow.high)
        over = replace(over, as_good=within.within(found.margin), not_worse=within.not_worse(found.margin))
    ids = sorted({*one.members, *other.members})
    architectures = dict(zip((*one.members, *other.members), (*one.architectures, *other.architectures), strict=True))
    places = [[ids.index(member) for member in side.members] for side in (one, other)]
    weights = member_weights(places[:1], places[1:], len(ids))
    again = trained_again(over.value, image_variance_of(apart.difference), weights,
                          [architectures[member] for member in ids], found.seeds, found.interval,
                          largest_difference(found.metric, len(found.classes)))
    if isinstance(again, Unknown):
        return replace(over, anew_unknown=again.why)
    return replace(over, anew=Anew(again.low, again.high, again.resolved))
