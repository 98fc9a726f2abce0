"""How often the intervals of an answer hold what they say, by each metric, in worlds whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/metric_coverage.py [--repetitions 3000] [--bootstrapped 1500]

The worlds are those of interval_coverage.py, with ten classes of which the k-th is 1 / k times as frequent as the
first and the rare ones harder (margins move by 0.3 to -0.3). The probability of the true class is the logistic function
of the margin times the sharpness that is calibrated but for the classes, so the mean margin of an ensemble is its
geometric mean and every expected metric is a sum of integrals over one normal variable. An answer is about one ensemble
and one single, not about means over all seeds: here the first three of the second architecture (as many as there are
seeds, where fewer) against the first of the third. The last worlds have few test images and accurate networks.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from consort.answer.gains import Paired
from consort.answer.metric import NAMES, largest_difference, scale
from consort.ensembles import intervals
from consort.ensembles.bounds import wilson
from consort.ensembles.image_scores import class_weights, one_image
from consort.ensembles.intervals import Interval, Unknown
from consort.ensembles.metrics import bootstrap_means
from interval_coverage import BY_ARCHITECTURE, BY_IMAGE, BY_SEED, TAUS, World, covers

RESAMPLES = 400
CLASSES = 10
SHARES = 1 / np.arange(1, CLASSES + 1) / (1 / np.arange(1, CLASSES + 1)).sum()
HARDER = np.linspace(0.3, -0.3, CLASSES)
SEEDS = ((2, 2), (3, 3), (8, 8), (4, 1))
ACCURATE = {"small": 0.96, "medium": 0.975, "large": 0.98}
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class Found:
    """What is said of one answer by one metric, and what is true of its networks."""

    images: Interval | None
    """None where no images were resampled."""
    again: Interval | Unknown
    gain: float
    """Of these very networks on all images."""
    value: Interval
    """Of the single's metric."""
    single: float
    """The single's metric on all images."""


@dataclass(frozen=True)
class Scored:
    """What the ensemble and every member score on the test images, and what is true of them on all."""

    ensemble: np.ndarray
    """[images]"""
    members: np.ndarray
    """[members, images]"""
    labels: np.ndarray
    unit: float
    """What one image is worth."""
    gain: float
    single: float


class Judged(World):
    """A world with classes."""

    @property
    def single(self) -> int:
        """The first member of the third architecture."""
        return self.singles[0][0]

    def sharpness(self, name: str, size: int) -> float:
        """By which margins become calibrated log-odds: twice the mean over the variance."""
        return 2 * self.means[name] / (1 - BY_SEED + BY_SEED / size)

    def truth(self, metric: str, name: str, size: int, luck: float, by_luck: float) -> float:
        """The goodness on all images of the ensembles of so many whose mean luck is this, or is drawn with this
        variance."""
        spread = (BY_IMAGE + BY_ARCHITECTURE + BY_SEED / size + by_luck) ** 0.5
        means = self.means[name] + HARDER + luck
        if metric != "nll":
            return float(np.average(norm.cdf(means / spread), weights=SHARES if metric == "accuracy" else None))
        scores = -np.logaddexp(0, -self.sharpness(name, size) * (means[:, None] + spread * NODES))
        return float(SHARES @ scores @ NODE_WEIGHTS / NODE_WEIGHTS.sum())

    def expected(self, metric: str) -> float:
        """The gain of networks trained again, on average over seeds and images."""
        medium = self.truth(metric, "medium", self.size, 0, self.luck["medium"] ** 2 / self.size)
        return medium - self.truth(metric, "large", 1, 0, self.luck["large"] ** 2)

    def answer(self, rng: np.random.Generator) -> dict[str, Scored]:
        """What each metric makes of one study's test images."""
        labels = rng.choice(CLASSES, self.images, p=SHARES)
        margins, luck = self.margins(rng)
        margins = (margins + HARDER[labels]).astype(np.float32)
        combined = margins[list(self.ensembles[0])].mean(axis=0)
        found = {}
        for metric in NAMES:
            own = np.array([self.scores(metric, margin, labels, name, 1)
                            for margin, name in zip(margins, self.architectures, strict=True)])
            whole = self.scores(metric, combined, labels, "medium", self.size)
            single = self.truth(metric, "large", 1, luck[self.single], 0)
            together = float(np.mean([luck[m] for m in self.ensembles[0]]))
            true = self.truth(metric, "medium", self.size, together, 0) - single
            found[metric] = Scored(whole, own, labels, one_image(metric, labels), true, single)
        return found

    def scores(self, metric: str, margin: np.ndarray, labels: np.ndarray, name: str, size: int) -> np.ndarray:
        """As image_scores, of margins in place of log-probabilities."""
        if metric == "nll":
            return -np.logaddexp(np.float32(0), np.float32(-self.sharpness(name, size)) * margin)
        return margin > 0 if metric == "accuracy" else (margin > 0) * class_weights(labels)


def studies(worlds: Sequence[Judged], rng: np.random.Generator, bootstrapped: bool) -> list[dict[str, Found]]:
    """Of one study in each world what is said by each metric. Worlds share the bootstrap's resamples."""
    answers = [world.answer(rng) for world in worlds]
    apart = [of[metric].ensemble.astype(np.int8 if metric == "accuracy" else np.float64)
             - of[metric].members[world.single]
             for world, of in zip(worlds, answers, strict=True) for metric in NAMES]
    drawn: Sequence = [None] * len(apart)
    if bootstrapped:
        drawn = bootstrap_means(np.array(apart, dtype=np.float64), RESAMPLES, int(rng.integers(2**31))).T
    each = iter(zip(apart, drawn, strict=True))
    return [{metric: said(world, metric, of[metric], *next(each)) for metric in NAMES}
            for world, of in zip(worlds, answers, strict=True)]


def said(world: Judged, metric: str, of: Scored, difference: np.ndarray, resampled: np.ndarray | None) -> Found:
    """The two intervals as answer.gains has them, and that of the single's metric."""
    weights = intervals.member_weights([world.ensembles[0]], [(world.single,)], len(of.members))
    again = intervals.trained_again(
        float(difference.mean()), intervals.image_variance_of(difference), weights, world.architectures,
        intervals.pooled_seed_variance(of.members, world.architectures), largest=largest_difference(metric, CLASSES))
    over = None if resampled is None else Paired(difference, resampled, of.unit).gain(0.95)
    return Found(None if over is None else Interval(over.low, over.high), again, of.gain,
                 of_one(metric, of.members[world.single], of.labels, of.unit), of.single)


def of_one(metric: str, scores: np.ndarray, labels: np.ndarray, unit: float) -> Interval:
    """Of the goodness of one network, as answer.candidates has it."""
    if metric == "nll":
        loss = intervals.of_loss(-scores, unit)
        return Interval(-loss.high, -loss.low)
    if metric == "accuracy":
        return Interval(*wilson(float(scores.mean()), len(labels)))
    return intervals.of_recalls(scores > 0, labels)


def print_worlds(worlds: Sequence[tuple[float, Judged]], repetitions: int, bootstrapped: int, seed: int) -> None:
    judged = [world for _, world in worlds]
    results = [studies(judged, np.random.default_rng([seed, number]), number < bootstrapped)
               for number in range(repetitions)]
    head = ("metric", "test images", "tau, points", "seeds: ensemble, single", "these networks, by images",
            "trained again, by images", "trained again", "unknown", "of one network", "width by images",
            "width trained again")
    print(f"\n| {' | '.join(head)} |\n{'| --- ' * len(head)}|")
    for metric in NAMES:
        for (tau, world), found in zip(worlds, zip(*results, strict=True), strict=True):
            print(row(metric, tau, world, [one[metric] for one in found]), flush=True)


def row(metric: str, tau: float, world: Judged, found: Sequence[Found]) -> str:
    expected = world.expected(metric)
    images = [(one.images, one.gain) for one in found if one.images is not None]
    again = [one.again for one in found if isinstance(one.again, Interval)]
    shares = [[covers(one, true) for one, true in images], [covers(one, expected) for one, _ in images],
              [covers(one, expected) for one in again], [isinstance(one.again, Unknown) for one in found],
              [covers(one.value, one.single) for one in found]]
    widths = [[one.width for one, _ in images], [one.width for one in again]]
    digits = 3 if metric == "nll" else 2
    cells = [metric, f"{world.images:,}", f"{100 * tau:.1f}", f"{world.numbers['medium']}, {world.numbers['large']}",
             *(f"{100 * np.mean(held):.1f} %" if held else "" for held in shares),
             *(f"{scale(metric) * np.mean(group):.{digits}f}" if group else "" for group in widths)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3000, help="studies in each world")
    parser.add_argument("--bootstrapped", type=int, default=1500, help="of these the first that resample images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    print_worlds([(tau, Judged(tau, *numbers)) for tau in TAUS for numbers in SEEDS],
                 options.repetitions, options.bootstrapped, options.seed)
    for images in (300, 1200):
        print_worlds([(0.004, Judged(0.004, *numbers, images, ACCURATE)) for numbers in SEEDS],
                     options.repetitions, options.bootstrapped, options.seed + images)
    print(f"\n{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
