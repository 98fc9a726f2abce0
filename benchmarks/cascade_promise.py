"""How often a cascade loses more than it promised: real networks split at random, and worlds whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/cascade_promise.py [FOLDER] [--splits 200] [--seed 0]

FOLDER has the logits of a pool of networks (pool.py). A split draws an ensemble of 2 to 4 of them and the validation
images, without replacement from all 15,000. Order by cost; the threshold comes from these validation images, as Consort
chooses it. "Broken": over all 15,000 images, from which validation was drawn, the cascade's
accuracy is below the whole ensemble's by more than was promised. A world is a formula for logits: fresh validation
images each time, judged by 50,000 others. Beside it what is often done: the lowest threshold that loses no more on
validation; and other ways to promise: by other confidences, with temperatures fitted on the same images, by the best
of all confidences, which share the error, and from a curve of any confidences, temperatures and thresholds per stage
that one half of the images draws and the other half tests.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta

from consort.answer.candidates import PROMISE_SURE_BY
from consort.ensembles import cascades
from consort.ensembles.bounds import loses_less
from consort.ensembles.cascades import CONFIDENCES, Cascade
from consort.ensembles.composition import combine, log_softmax
from consort.ensembles.metrics import correct
from pool import read_pool

TRUTH = 50_000
"""Images of a world by which a promise is judged."""


@dataclass(frozen=True)
class Case:
    """Members cheapest first, validation images, and all those by which the truth is known."""

    val: np.ndarray
    val_labels: np.ndarray
    all: np.ndarray
    labels: np.ndarray
    costs: Sequence[float]


Choose = Callable[[Case, float], Cascade | None]
"""From the validation images, the cascade that loses at most so much."""


def real(folder: Path, splits: int, num_val: int, seed: int) -> Iterator[Case]:
    pool = read_pool(folder)
    for split in range(splits):
        rng = np.random.default_rng([seed, split])
        members = np.sort(rng.choice(len(pool.log_probs), size=rng.integers(2, 5), replace=False))
        chosen = rng.permutation(len(pool.labels))[:num_val]
        log_probs = pool.log_probs[members]
        yield Case(log_probs[:, chosen], pool.labels[chosen], log_probs, pool.labels, [pool.macs[m] for m in members])


def simulated(splits: int, num_val: int, seed: int) -> Iterator[Case]:
    """Three members, each more accurate than the one before: what the image looks like to all, and to each alone."""
    def draw(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(10, size=images)
        shared = 1.5 * rng.standard_normal((images, 10), dtype=np.float32)
        shared[np.arange(images), labels] += 4.0
        noise = rng.standard_normal((3, images, 10), dtype=np.float32)
        return log_softmax(shared + noise * np.array([2.0, 1.5, 1.0], np.float32)[:, None, None]), labels

    everything, labels = draw(np.random.default_rng([seed, splits]), TRUTH)
    for split in range(splits):
        yield Case(*draw(np.random.default_rng([seed, split]), num_val), everything, labels, [1.0, 2.0, 4.0])


def measure(case: Case, cascade: Cascade) -> tuple[float, float]:
    """Over all images: the loss of accuracy against the whole ensemble, and the share of its cost."""
    every = correct(combine(case.all[list(cascade.order)], cascade.combine), case.labels).mean()
    number = cascades.asked(case.all, cascade)
    early = np.empty(len(number), dtype=bool)
    for members in range(1, len(cascade.order) + 1):
        # The temperature changes no answer, only when it is given.
        images = number == members
        answer = combine(case.all[np.ix_(cascade.order[:members], images)], cascade.combine)
        early[images] = correct(answer, case.labels[images])
    cost = cascades.spent(number, cascade, case.costs).mean()
    return float(every - early.mean()), float(cost / sum(case.costs))


def whole(case: Case, confidence: str) -> Cascade:
    """Everybody is asked."""
    members = len(case.val)
    return Cascade(tuple(range(members)), "geometric", confidence, (np.inf,) * (members - 1), (1.0,) * members)


def by(confidence: str, among: int = 1) -> Choose:
    return lambda case, most: cascades.promised(case.val, case.val_labels, whole(case, confidence), most, among=among)


def with_temperatures(case: Case, most: float) -> Cascade | None:
    """Fitted on the very images that the promise is made on, which its proof does not allow for."""
    fitted = cascades.calibrated(case.val, case.val_labels, range(len(case.val)), "geometric", PROMISE_SURE_BY)
    return cascades.promised(case.val, case.val_labels, fitted, most)


def best_confidence(case: Case, most: float) -> Cascade | None:
    """Of the confidences the one that is cheapest on validation; they share the error."""
    found = [by(confidence, len(CONFIDENCES))(case, most) for confidence in CONFIDENCES]
    return min((one for one in found if one is not None), default=None,
               key=lambda one: cascades.run(case.val, case.val_labels, one, case.costs)[1])


def from_halves(case: Case, most: float) -> Cascade | None:
    """The curve of one half of the images, tested from its dearest cascade down on the other (Pareto testing)."""
    half = len(case.val_labels) // 2
    points = cascades.curve(case.val[:, :half], case.val_labels[:half], tuple(range(len(case.val))), case.costs,
                            "geometric", most=half)
    log_probs, labels, kept = case.val[:, half:], case.val_labels[half:], None
    for point in reversed(points):
        every = correct(combine(log_probs[list(point.cascade.order)], "geometric"), labels)
        early = correct(cascades.answer(log_probs, point.cascade), labels)
        if not loses_less(int((every & ~early).sum()), int((early & ~every).sum()), len(labels), most, 0.05):
            break
        kept = point.cascade
    return kept


def without_a_bound(case: Case, most: float) -> Cascade:
    """The lowest threshold that, like every higher one, loses no more on validation."""
    every = whole(case, PROMISE_SURE_BY)
    tried = [every, *(cascades.at_threshold(every, float(threshold)) for threshold in np.linspace(1, 0, 51))]
    reached = cascades.accuracies(case.val, case.val_labels, tried)
    lost = [reached[0] - accuracy > most for accuracy in reached]
    return tried[lost.index(True) - 1 if any(lost) else -1]


def at_most(count: int, number: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson 1934)."""
    low = float(beta.ppf(0.025, count, number - count + 1)) if count else 0.0
    return low, float(beta.ppf(0.975, count + 1, number - count)) if count < number else 1.0


def row(title: str, choose: Choose, cases: Iterator[Case], num_val: int, most: float) -> None:
    given, broken, losses, costs, number = 0, 0, [], [], 0
    for case in cases:
        number += 1
        cascade = choose(case, most)
        if cascade is None:
            continue
        given += 1
        lost, cost = measure(case, cascade)
        losses.append(lost)
        costs.append(cost)
        broken += losses[-1] > most
    cells = ["", "", "", ""]
    if given:
        low, high = at_most(broken, number)
        cells = [f"{broken} ({100 * low:.1f} to {100 * high:.1f} %)", f"{100 * np.mean(losses):.2f}",
                 f"{100 * max(losses):.2f}", f"{100 * np.mean(costs):.0f} %"]
    print(f"| {title} | {num_val} | {100 * most:.1f} | {given} of {number} | {' | '.join(cells)} |", flush=True)


def print_table(title: str, ways: Sequence[tuple[str, Choose, int, float]],
                cases: Callable[[int], Iterator[Case]]) -> None:
    print(f"\n{title}\n")
    print("| threshold | validation images | at most, points | given | broken | mean loss | largest loss "
          "| MACs of the whole |\n|---|---|---|---|---|---|---|---|")
    for name, choose, num_val, most in ways:
        row(name, choose, cases(num_val), num_val, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="logits of a pool; without it the simulated worlds only")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    own = by(PROMISE_SURE_BY)
    pooled: list[tuple[str, Choose, int, float]] = [
        ("promised", own, num_val, most) for num_val in (1000, 5000) for most in (0.002, 0.005, 0.01)]
    pooled += [("no bound", without_a_bound, num_val, 0.005) for num_val in (1000, 5000)]
    others = [(f"promised, by {name}", by(name)) for name in CONFIDENCES if name != PROMISE_SURE_BY]
    others += [("promised, temperatures fitted", with_temperatures), ("promised, best of four", best_confidence),
               ("promised, from two halves", from_halves)]
    pooled += [(title, choose, 5000, most) for most in (0.002, 0.005) for title, choose in others]
    made_up = [(title, choose, 5000, 0.005) for title, choose in
               (("promised", own), ("no bound", without_a_bound), *others)]
    if options.folder is not None:
        print_table(f"Networks of {options.folder.name}, 15,000 images", pooled,
                    lambda num_val: real(options.folder, options.splits, num_val, options.seed))
    print_table("Simulated", made_up, lambda num_val: simulated(options.splits, num_val, options.seed))
    print(f"\n{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
