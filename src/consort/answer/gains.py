"""How much more accurate one candidate is than another on the test images, with its two intervals."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from consort.answer.choices import Anew, Candidate, Gain
from consort.ensembles.intervals import (
    ONE_SEED,
    Interval,
    Seeds,
    image_variance_of,
    member_weights,
    of_difference,
    trained_again,
)

RESAMPLES = 2000

EQUIVALENCE = 0.9
"""Two one-sided tests at 5 % are one interval at 90 %."""


def gain(one: Candidate, other: Candidate, right: tuple[np.ndarray, np.ndarray], seeds: Seeds | None,
         confidence: float, margin: float | None = None) -> Gain:
    """`one` minus `other`. right: which test images each is right about. seeds: what another training changes.
    margin: of accuracy, within which two are as good."""
    found = over_images(*right, confidence)
    if margin is not None:
        narrow = over_images(*right, EQUIVALENCE)
        within = Interval(narrow.low, narrow.high)
        found = replace(found, as_good=within.within(margin), not_worse=within.not_worse(margin))
    if seeds is None:
        return replace(found, anew_unknown=ONE_SEED)
    ids = sorted({*one.members, *other.members})
    architectures = dict(zip((*one.members, *other.members), (*one.architectures, *other.architectures), strict=True))
    places = [[ids.index(member) for member in side.members] for side in (one, other)]
    weights = member_weights(places[:1], places[1:], len(ids))
    again = trained_again(found.value, image_variance_of(_difference(*right)), weights,
                          [architectures[member] for member in ids], seeds, confidence)
    assert again is not None
    return replace(found, anew=Anew(again.low, again.high, again.resolved))


def over_images(one: np.ndarray, other: np.ndarray, confidence: float) -> Gain:
    """The same for these very networks alone: bool [test images] each.

    The paired bootstrap of the images needs only how many images each of the two alone is right about, since a resample
    of the images has a multinomial number of each kind (always from the same seed).
    """
    difference = _difference(one, other)
    images, better, worse = len(one), int((difference > 0).sum()), int((difference < 0).sum())
    shares: Sequence[float] = (better / images, worse / images, (images - better - worse) / images)
    drawn = np.random.default_rng(0).multinomial(images, shares, size=RESAMPLES)
    interval = of_difference(difference, (drawn[:, 0] - drawn[:, 1]) / images, confidence)
    return Gain(float(difference.mean()), interval.low, interval.high, interval.resolved)


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one.astype(np.int8) - other.astype(np.int8)
