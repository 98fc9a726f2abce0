"""Which ensembles there are, and how the predictions of members become one.

An ensemble of a study is a *composition*: how many members of each architecture. Which seeds fill it is a *subset*;
a composition is judged by the mean over its subsets.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from consort.ensembles.metrics import TIE, highest

Subset = tuple[int, ...]
"""Numbers of members, rising."""

CERTAIN = 1 - 1e-4
"""Members that are at least as sure as this of different classes leave a decision to float64."""

VISIBLE = 3 * TIE
"""A lead of log-probabilities in float32 that no rounding makes a tie of."""


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Normalised log-probabilities over the last axis (the classes), in the type of `scores`."""
    shifted = scores - highest(scores)[..., None]
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def tempered(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """Divided by the temperature, and normalised again."""
    return log_probs if temperature == 1 else log_softmax(log_probs / log_probs.dtype.type(temperature))


def combine(log_probs: np.ndarray, method: str) -> np.ndarray:
    """One prediction of several members: log-probabilities [members, images, classes] to [images, classes].

    geometric: softmax(mean over members of log p), which is the geometric mean (p1 p2 ... pn)^(1/n) of Kondratyuk et
    al. 2020 divided by its sum over classes; without that division it is no probability, and only the order of the
    classes means something. Equal to softmax of the mean logits.
    arithmetic: the mean of the probabilities, as in Lakshminarayanan et al. 2017.
    """
    if method == "geometric":
        return log_softmax(log_probs.mean(axis=0))
    if method == "arithmetic":
        return _arithmetic_mean(log_probs)
    raise ValueError(f"combine is geometric or arithmetic, got {method!r}")


def _arithmetic_mean(log_probs: np.ndarray) -> np.ndarray:
    """In float64: of members that are nearly certain of different classes the surer one wins, by less than float32 can
    hold. In the type of `log_probs` the winner is then put above the second by a little more than a tie."""
    most = log_probs.max(axis=0).astype(np.float64)
    total, doubt = np.zeros_like(most), np.zeros_like(most)
    for member in log_probs:
        # Normalised anew, which brings back what float32 lost of the sum: p = 1 - 2e-9 was 1.
        exact = log_softmax(member.astype(np.float64))
        total += np.exp(exact - most)
        doubt += slack(np.exp(exact))
    mean = most + np.log(total) - math.log(len(log_probs))
    images, winner = np.arange(len(mean)), mean.argmax(axis=1)
    others = mean.copy()
    others[images, winner] = -np.inf
    second = highest(others)
    ahead = np.exp(mean[images, winner]) - np.exp(second) > doubt[images, winner] / len(log_probs)
    close = ahead & (mean[images, winner] - second < VISIBLE)
    mean[images[close], winner[close]] = second[close] + VISIBLE
    return mean.astype(log_probs.dtype)


def slack(probs: np.ndarray) -> np.ndarray:
    """By how much a probability (float64) may lead and still only tie: TIE of it, and of one that is nearly certain TIE
    of what is left, since its logit is no less exact; but never less than the rounding of float64."""
    return probs * (TIE * np.where(probs > CERTAIN, 1 - probs, 1) + 1e-14)


@dataclass(frozen=True)
class Composition:
    """How many members of each architecture, in the order of the study; counts are at least 1."""

    parts: tuple[tuple[str, int], ...]

    @property
    def label(self) -> str:
        """Such as "2 x wrn-16-1 + 1 x wrn-16-2"."""
        return " + ".join(f"{count} x {architecture}" for architecture, count in self.parts)

    @property
    def num_members(self) -> int:
        return sum(count for _, count in self.parts)

    @property
    def kind(self) -> str:
        """single, uniform (one architecture) or mixed."""
        if len(self.parts) > 1:
            return "mixed"
        return "single" if self.num_members == 1 else "uniform"


def compositions(available: Mapping[str, int], mixed_members: int) -> list[Composition]:
    """Every uniform composition of every size, then every mixed one of up to `mixed_members` members.

    available: architecture -> number of members that there are, in the order in which labels name them.
    """
    uniform = [Composition(((architecture, count),)) for architecture, number in available.items()
               for count in range(1, number + 1)]
    mixed = [Composition(parts) for size in range(2, mixed_members + 1) for parts in _multisets(available, size)
             if len(parts) > 1]
    return uniform + mixed


def _multisets(available: Mapping[str, int], size: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """Every way to take `size` members, as (architecture, count) with counts of at least 1."""
    if not available:
        if size == 0:
            yield ()
        return
    (architecture, number), *others = available.items()
    for count in range(min(number, size), -1, -1):
        for rest in _multisets(dict(others), size - count):
            yield (((architecture, count), *rest) if count else rest)


def num_subsets(composition: Composition, available: Mapping[str, int]) -> int:
    """In how many ways the members that there are can fill the composition."""
    return math.prod(math.comb(available[architecture], count) for architecture, count in composition.parts)


def subsets_of(composition: Composition, members: Mapping[str, Sequence[int]], limit: int) -> list[Subset]:
    """The subsets of members that fill the composition: all of them, or a random sample of `limit` without repeats.

    members: architecture -> numbers of its members. The sample is drawn with a seed made of the label, so it is the
    same in every run, and other architectures of the study do not change it.
    """
    choices = [(members[architecture], count) for architecture, count in composition.parts]
    total = num_subsets(composition, {architecture: len(numbers) for architecture, numbers in members.items()})
    if total <= limit:
        picks = product(*(combinations(numbers, count) for numbers, count in choices))
        return [tuple(sorted(sum(pick, ()))) for pick in picks]
    ranks = sorted(random.Random(composition.label).sample(range(total), limit))
    return [_subset_of_rank(rank, choices) for rank in ranks]


def _subset_of_rank(rank: int, choices: list[tuple[Sequence[int], int]]) -> Subset:
    """The rank-th subset: one digit per architecture, and the digit is a combination's place in lexical order."""
    chosen: list[int] = []
    for numbers, count in choices:
        rank, place = divmod(rank, math.comb(len(numbers), count))
        for position, number in enumerate(numbers):
            if count == 0:
                break
            with_this = math.comb(len(numbers) - position - 1, count - 1)
            if place < with_this:
                chosen.append(number)
                count -= 1
            else:
                place -= with_this
    return tuple(sorted(chosen))


def all_subsets(num_members: int, largest: int) -> list[Subset]:
    """Every subset of 1 to `largest` of the members 0 .. num_members - 1."""
    return [subset for size in range(1, largest + 1) for subset in combinations(range(num_members), size)]
