"""How often the two intervals of a gain hold what they say: in worlds whose truth is known, and on real networks.

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py [FOLDER] [--repetitions 4000] [--bootstrapped 600]

A world: a network is right about an image where its margin is above 0, a sum of what the architecture can do, how hard
the image is (variance 0.72), how it suits the architecture (0.1), what a seed makes of the image (0.18, which ensembles
average away) and the luck of the seed on all images (so much that accuracies have standard deviation tau). Margins are
normal, so every expected accuracy is a formula. Accuracies 79, 82 and 83 %; three of the second (as many as there are
seeds, where fewer) against one of the third on 5,000 test images. FOLDER has the logits of a pool of real networks
(pool.py): there, two halves of the seeds and of the images, disjoint, should agree within their intervals.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import chi2, norm

from consort.ensembles import intervals
from consort.ensembles.composition import Subset
from consort.ensembles.intervals import Interval, Seeds, Unknown
from consort.ensembles.metrics import bootstrap_means, correct
from consort.ensembles.subset_scores import score_subsets
from pool import MACS, Pool, read_pool

IMAGES, RESAMPLES = 5000, 400
BY_IMAGE, BY_ARCHITECTURE, BY_SEED = 0.72, 0.10, 0.18
ACCURACIES = {"small": 0.79, "medium": 0.82, "large": 0.83}
TAUS = (0.0, 0.002, 0.009)
SEEDS = ((1, 1), (2, 2), (3, 3), (4, 4), (8, 8), (4, 1), (8, 1))
FAIR = (("wrn-16-1", "wrn-16-2"), ("wrn-16-2", "wrn-16-4"), ("wrn-16-4", "wrn-16-8"))


@dataclass(frozen=True)
class Gain:
    value: float
    images: Interval | None
    """None where no images were resampled, which costs the most."""
    again: Interval | Unknown


def gain_of(difference: np.ndarray, resampled: np.ndarray | None, weights: np.ndarray, architectures: Sequence[str],
            seeds: Seeds | None) -> Gain:
    value = float(difference.mean())
    again = intervals.trained_again(value, intervals.image_variance_of(difference), weights, architectures, seeds)
    return Gain(value, None if resampled is None else intervals.of_difference(difference, resampled), again)


@dataclass(frozen=True)
class Trained:
    """The networks of one study in a world."""

    right: np.ndarray
    """bool [members, images]"""
    shares: np.ndarray
    """Per image the share of the ensembles, and of the singles, that are right: [2, images]."""
    true_gain: float


class World:
    """Three architectures with these numbers of seeds; the large one's differs."""

    def __init__(self, tau: float, num_seeds: int, num_large: int, images: int = IMAGES,
                 accuracies: Mapping[str, float] = ACCURACIES) -> None:
        self.images = images
        self.numbers = {"small": num_seeds, "medium": num_seeds, "large": num_large}
        self.architectures = [name for name, number in self.numbers.items() for _ in range(number)]
        self.size = min(3, num_seeds)
        self.means = {name: float(norm.ppf(accuracy)) for name, accuracy in accuracies.items()}
        # The luck of a seed is added to all its margins; an accuracy moves by the density at the threshold times that.
        self.luck = {name: tau / float(norm.pdf(mean)) for name, mean in self.means.items()}
        medium = range(num_seeds, 2 * num_seeds)
        self.ensembles = list(combinations(medium, self.size))
        self.singles = [(member,) for member in range(2 * num_seeds, 2 * num_seeds + num_large)]

    def expected_gain(self) -> float:
        """Of networks trained again, on average over seeds and images."""
        def accuracy(name: str, size: int) -> float:
            spread = BY_IMAGE + BY_ARCHITECTURE + (BY_SEED + self.luck[name] ** 2) / size
            return float(norm.cdf(self.means[name] / spread**0.5))

        return accuracy("medium", self.size) - accuracy("large", 1)

    def margins(self, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
        """Of every member [members, images], and the luck of each, which is in them."""
        hard = BY_IMAGE**0.5 * rng.standard_normal(self.images)
        margins, luck = [], []
        for name, number in self.numbers.items():
            suits = BY_ARCHITECTURE**0.5 * rng.standard_normal(self.images)
            for _ in range(number):
                luck.append(self.luck[name] * rng.standard_normal())
                own = BY_SEED**0.5 * rng.standard_normal(self.images)
                margins.append(self.means[name] + hard + suits + luck[-1] + own)
        return np.array(margins), luck

    def train(self, rng: np.random.Generator) -> Trained:
        margins, luck = self.margins(rng)
        shares = np.array([share_right(margins, rows) for rows in (self.ensembles, self.singles)])
        true = self.true_accuracy("medium", self.ensembles, luck) - self.true_accuracy("large", self.singles, luck)
        return Trained(margins > 0, shares, true)

    def true_accuracy(self, name: str, subsets: Sequence[Subset], luck: Sequence[float]) -> float:
        spread = (BY_IMAGE + BY_ARCHITECTURE + BY_SEED / len(subsets[0])) ** 0.5
        return float(np.mean([norm.cdf((self.means[name] + np.mean([luck[m] for m in subset])) / spread)
                              for subset in subsets]))


def share_right(margins: np.ndarray, subsets: Sequence[Subset]) -> np.ndarray:
    """Per image the share of subsets whose mean margin is above 0."""
    return np.mean([margins[list(subset)].mean(axis=0) > 0 for subset in subsets], axis=0)


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def studies(worlds: Sequence[World], rng: np.random.Generator, bootstrapped: bool) -> list[tuple[Gain, float]]:
    """Of one study in each world what Consort says, and the true gain of its networks on all images. The worlds share
    the bootstrap's resamples."""
    trained = [world.train(rng) for world in worlds]
    apart = np.array([one.shares[0] - one.shares[1] for one in trained])
    drawn = bootstrap_means(apart, RESAMPLES, int(rng.integers(2**31))) if bootstrapped else None
    found = []
    for number, (world, one) in enumerate(zip(worlds, trained, strict=True)):
        weights = intervals.member_weights(world.ensembles, world.singles, len(one.right))
        seeds = intervals.pooled_seed_variance(one.right, world.architectures)
        resampled = None if drawn is None else drawn[:, number]
        found.append((gain_of(apart[number], resampled, weights, world.architectures, seeds), one.true_gain))
    return found


def print_worlds(repetitions: int, bootstrapped: int, seed: int) -> None:
    print("\n| tau, points | seeds: ensemble, single | these networks, by images | trained again, by images "
          "| trained again | width by images | width trained again |\n|---|---|---|---|---|---|---|")
    cases = [(tau, *numbers) for tau in TAUS for numbers in SEEDS]
    worlds = [World(*case) for case in cases]
    results = [studies(worlds, np.random.default_rng([seed, number]), number < bootstrapped)
               for number in range(repetitions)]
    held, unknown = [], 0
    for (tau, *numbers), world, found in zip(cases, worlds, zip(*results, strict=True), strict=True):
        expected = world.expected_gain()
        images = [(gain.images, true) for gain, true in found if gain.images is not None]
        these = np.mean([covers(interval, true) for interval, true in images])
        by_images = np.mean([covers(interval, expected) for interval, _ in images])
        width = np.mean([interval.width for interval, _ in images])
        cells, again = ["unknown", ""], [gain.again for gain, _ in found if isinstance(gain.again, Interval)]
        if again:
            held.append(np.mean([covers(interval, expected) for interval in again]))
            cells = [f"{100 * held[-1]:.1f} %", f"{100 * np.mean([one.width for one in again]):.2f}"]
            unknown += repetitions - len(again)
        print(f"| {100 * tau:.1f} | {numbers[0]}, {numbers[1]} | {100 * these:.1f} % | {100 * by_images:.1f} % "
              f"| {cells[0]} | {100 * width:.2f} | {cells[1]} |")
    print(f"\ntrained again: {100 * min(held):.1f} to {100 * max(held):.1f} % of {repetitions}, mean "
          f"{100 * np.mean(held):.1f} %; unknown in {unknown} where there are two seeds or more")


def pool_gain(pool: Pool, right: np.ndarray, members: Sequence[int], images: np.ndarray, ensembles: Sequence[Subset],
              singles: Sequence[Subset], seed: int) -> Gain:
    """Of the geometric mean, on these images; seeds' variance from these members and the same images."""
    rows = [score_subsets(pool.log_probs[:, images], pool.labels[images], subsets, "geometric",
                          groups=[0] * len(subsets), threads=1).correct for subsets in (ensembles, singles)]
    shares = np.array([row[0] / len(subsets) for row, subsets in zip(rows, (ensembles, singles), strict=True)])
    drawn = bootstrap_means(shares, RESAMPLES, seed)
    architectures = [pool.architectures[m] for m in members]
    seeds = intervals.pooled_seed_variance(right[np.ix_(members, images)], architectures)
    weights = intervals.member_weights(ensembles, singles, len(pool.architectures))[list(members)]
    return gain_of(shares[0] - shares[1], drawn[:, 0] - drawn[:, 1], weights, architectures, seeds)


def print_pool(folder: Path, seed: int, splits: int) -> None:
    pool = read_pool(folder)
    right = np.array([correct(member, pool.labels) for member in pool.log_probs])
    of = {name: [m for m, own in enumerate(pool.architectures) if own == name] for name in MACS}
    print("\n| images | pooled tau, points | 95 % by the seeds | sd between seeds as seen | degrees of freedom "
          "|\n|---|---|---|---|---|")
    for title, images in (("validation and test", slice(None)), ("test", slice(pool.num_val, None))):
        seeds = intervals.pooled_seed_variance(right[:, images], pool.architectures)
        others = (seeds.observed * (seeds.freedom / chi2.ppf(q, seeds.freedom) - 1) for q in (0.975, 0.025))
        low, high = (100 * max(0.0, seeds.pooled + other) ** 0.5 for other in others)
        print(f"| {title} | {100 * seeds.tau:.3f} | {low:.2f} to {high:.2f} | {100 * seeds.observed**0.5:.3f} "
              f"| {seeds.freedom} |")
    print("\n| 3 x | 1 x | gain, points | these networks | trained again | halves agree by images | halves agree "
          "trained again |\n|---|---|---|---|---|---|---|")
    test = np.arange(pool.num_val, len(pool.labels))
    for small, large in FAIR:
        whole = pool_gain(pool, right, range(len(pool.architectures)), test, list(combinations(of[small], 3)),
                          [(m,) for m in of[large]], seed)
        agree = [halves_agree(pool, right, of[small], of[large], np.random.default_rng([seed, split]))
                 for split in range(splits)]
        by_images, again = 100 * np.mean(agree, axis=0)
        print(f"| {small} | {large} | {100 * whole.value:+.2f} | {words(whole.images)} | {words(whole.again)} "
              f"| {by_images:.0f} % | {again:.0f} % |", flush=True)


def halves_agree(pool: Pool, right: np.ndarray, small: Sequence[int], large: Sequence[int],
                 rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether the gains of two disjoint halves of seeds and of images differ by no more than both intervals allow."""
    order, halves = rng.permutation(len(pool.labels)), []
    mixed = [rng.permutation(small), rng.permutation(large)]
    for half, images in enumerate(np.array_split(order, 2)):
        few, many = (sorted(np.array_split(members, 2)[half].tolist()) for members in mixed)
        halves.append(pool_gain(pool, right, [*few, *many], np.sort(images), list(combinations(few, 3)),
                                [(member,) for member in many], int(rng.integers(2**31))))
    apart = abs(halves[0].value - halves[1].value)
    return (apart <= sum((half.images.width / 2) ** 2 for half in halves) ** 0.5,
            apart <= sum((width_of(half.again) / 2) ** 2 for half in halves) ** 0.5)


def width_of(again: Interval | Unknown) -> float:
    """What is unknown allows any difference."""
    return np.inf if isinstance(again, Unknown) else again.width


def words(interval: Interval | Unknown) -> str:
    return interval.why if isinstance(interval, Unknown) else f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="logits of a pool of networks")
    parser.add_argument("--repetitions", type=int, default=4000, help="studies in each world")
    parser.add_argument("--bootstrapped", type=int, default=600, help="of these the first that resample images")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    if options.folder is not None:
        print_pool(options.folder, options.seed, options.splits)
    print_worlds(options.repetitions, options.bootstrapped, options.seed)
    print(f"\n{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
