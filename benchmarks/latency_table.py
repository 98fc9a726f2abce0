"""What a latency table costs, and how far its sums are from networks that are measured whole, by themselves.

    python benchmarks/latency_table.py [networks]

The space of studies/cifar10-search.toml (216 networks, 32x32, batch 16, one thread) and a larger one with MBConv. The
table's own check times whole networks among the pieces; here each of a random sample is measured the other way, with
`consort latency`, alone. The ratio is the table's seconds against measuring every network of the space like that.
Percentages are of what was measured.
"""

import random
import sys
import time

import numpy as np
from scipy.stats import spearmanr

from consort.costs import blocks, latency
from consort.costs.conditions import Conditions
from consort.costs.table import measure as measure_table
from consort.space.choices import Space, StageChoices

CONDITIONS, REPEATS = Conditions((32, 32), 10, batch_size=16), 50
SPACES = {
    "cifar10-search": Space("small", tuple(
        StageChoices(("wide",), widths, (1, 2), (3,), (3,), (True,))
        for widths in ((4, 8, 16), (8, 16, 32), (16, 32, 64)))),
    "with MBConv": Space("small", tuple(
        StageChoices(("wide", "mbconv", "mbconv-se"), widths, (1, 2), (3, 5), (3, 6), (True,))
        for widths in ((8, 16), (16, 32), (32, 64)))),
}


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    for name, space in SPACES.items():
        table = measure_table(space, CONDITIONS, REPEATS)
        rng, seen = random.Random(1), {}
        while len(seen) < number:
            seen[space.draw_unseen(rng, seen)] = None
        names = [space.decode(encoding)[0] for encoding in seen]
        started = time.perf_counter()
        measured = np.array([latency.measure(each, CONDITIONS, REPEATS).median_ms for each in names])
        seconds_each = (time.perf_counter() - started) / number
        again = np.array([latency.measure(each, CONDITIONS, REPEATS).median_ms for each in names])
        predicted = np.array([blocks.predict(table, each) for each in names])
        print(f"\n{name}: {space.size} networks, {len(table.pieces_ms)} pieces, {measured.min():.2f} to "
              f"{measured.max():.2f} ms")
        print(f"  table {table.seconds:.1f} s; one network measured {seconds_each:.2f} s, all {space.size} of them "
              f"{seconds_each * space.size:.0f} s: {seconds_each * space.size / table.seconds:.1f} times the table")
        print(f"  table against measuring:        {errors(predicted, measured)}")
        print(f"  measuring again against before: {errors(again, measured)}")
        own = table.error
        print(f"  the table's own check (n = {own['n']}): {own['mean_absolute_percent']:.1f} % in the mean, bias "
              f"{own['bias_percent']:+.1f} %, worst {own['worst_percent']:+.1f} %, rank correlation "
              f"{own['rank_correlation']}", flush=True)


def errors(found: np.ndarray, measured: np.ndarray) -> str:
    percent = 100 * (found / measured - 1)
    worst = percent[np.argmax(abs(percent))]
    return (f"{abs(percent).mean():.1f} % in the mean, bias {percent.mean():+.1f} %, worst {worst:+.1f} %, "
            f"rank correlation {spearmanr(found, measured).statistic:.4f} (n = {len(percent)})")


if __name__ == "__main__":
    main()
