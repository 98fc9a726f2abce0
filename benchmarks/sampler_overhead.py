"""Milliseconds of one suggestion with 1,000 finished trials, for every sampler, beside drawing a candidate at random.

    python benchmarks/sampler_overhead.py [trials]

A joint space of three networks of three stages. Each call replays the whole history. Aim: under 50 ms for Consort's own
samplers; Optuna's are as they are. CPU time of this process, so that other work on the machine does not count.
"""

import random
import sys
import time
from statistics import median

from consort import samplers
from consort.samplers import FinishedTrial
from consort.space.choices import Space, StageChoices
from consort.space.objective import Objective

STAGE = StageChoices(("wide", "mbconv", "mbconv-se"), (8, 16, 32, 64), (1, 2, 3), (3, 5), (3, 6), (True, False))
SPACE = Space("small", (STAGE,) * 3, 3)
ROUNDS = 5
SLOW = {"gp": 20}
"""Fits a Gaussian process with torch in every call: one round, one in so many of the trials."""


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    history, objective = finished(number), Objective(target_latency_ms=1.0)
    drawing = median(milliseconds(lambda: SPACE.draw(random.Random(0))) for _ in range(100))
    print(f"drawing one candidate: {drawing:.3f} ms")
    print(f"{'sampler':14} {'trials':>7} {'first ms':>9} {'median ms':>10} {'times drawing':>14}")
    for name in samplers.NAMES:
        trials, rounds = history[:number // SLOW.get(name, 1)], 1 if name in SLOW else ROUNDS
        times = [milliseconds(lambda name=name, trials=trials: samplers.suggest(name, SPACE, trials, 1,
                                                                                 objective=objective))
                 for _ in range(rounds + 1)]
        usual = median(times[1:])
        print(f"{name:14} {len(trials):7d} {times[0]:9.1f} {usual:10.1f} {usual / drawing:14.0f}", flush=True)


def finished(number: int) -> list[FinishedTrial]:
    """A history of different candidates whose reward grows with the indices of their choices."""
    rng, seen = random.Random(0), {}
    while len(seen) < number:
        encoding = SPACE.draw_unseen(rng, seen)
        height = sum(encoding) / sum(len(p.choices) - 1 for p in SPACE.parameters)
        seen[encoding] = FinishedTrial(encoding, height, height, 0.5 + height)
    return list(seen.values())


def milliseconds(work) -> float:
    begin = time.process_time()
    work()
    return 1000 * (time.process_time() - begin)


if __name__ == "__main__":
    main()
