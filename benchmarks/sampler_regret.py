"""How far each sampler is from the best architecture of a table of real trainings, and random search beside it.

    python benchmarks/sampler_regret.py [--table CSV] [--seeds 100] [--gp-seeds 5] [--samplers random evolution ...]
                                        [--trials 150] [--workers 1] [--plot sampler_regret.png]

The table (architecture_table.py) has every network of a small space, trained with 3 seeds. A query answers with the
validation accuracy of one of them at random, as a search sees it: one noisy training. Regret is what the mean over the
3 seeds of the best network, minus the mean of the other two trainings of the network whose query answered best so far,
is in percentage points: the training that got it chosen was lucky, and says too much of it. The best mean of 256 is
lucky too, so that regrets are a little too high, all by the same. Once for the accuracy alone, and once for the soft
reward at the table's median latency. Intervals are 95 %, normal, over the seeds of the search; the difference is
paired, sampler minus random with the same seed.
"""

import argparse
import csv
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from consort import samplers
from consort.samplers import FinishedTrial
from consort.space.choices import GENES, Encoding, Space, StageChoices
from consort.space.networks import Stage, parse
from consort.space.objective import Objective, reward

TABLE = Path(__file__).with_name("architecture_table.csv")
SHOWN = (25, 50, 100, 150)
COMPARED = 100
"""Trials after which samplers are compared with random search."""
MEANS = {"expansion": lambda stage: stage.expands, "skip": lambda stage: stage.repeats}
"""Fields that mean something only in some stages."""


@dataclass(frozen=True)
class Network:
    """A row of the table."""

    latency_ms: float
    accuracies: tuple[float, ...]
    """On validation, one per seed."""


@dataclass(frozen=True)
class Table:
    space: Space
    rows: dict[Encoding, Network]

    def objective(self) -> Objective:
        """Soft reward at the median latency."""
        return Objective(target_latency_ms=statistics.median(row.latency_ms for row in self.rows.values()))


def read_table(path: Path) -> Table:
    """The table, and the space of exactly its networks."""
    with path.open(newline="") as file:
        rows = {row["architecture"]: Network(float(row["latency_ms"]), tuple(
            float(value) for column, value in row.items() if column.startswith("val_accuracy_s")))
            for row in csv.DictReader(file)}
    parsed = [parse(name) for name in rows]
    stages = zip(*(network.stages for network in parsed), strict=True)
    space = Space(parsed[0].skeleton, tuple(map(_choices, stages)))
    assert space.size == len(rows), f"{path} has {len(rows)} networks of a space of {space.size}"
    return Table(space, {space.encode([name]): row for name, row in rows.items()})


def _choices(stages: Sequence[Stage]) -> StageChoices:
    """All values that a stage has in the table."""
    def values(gene: str) -> tuple:
        found = {getattr(stage, gene) for stage in stages if MEANS.get(gene, lambda _: True)(stage)}
        return tuple(sorted(found or {getattr(Stage("wide", 1, 1, 3), gene)}, reverse=gene in ("block", "skip")))

    return StageChoices(*(values(gene) for gene in GENES))


def regrets(table: Table, name: str, seed: int, trials: int, objective: Objective | None) -> list[float]:
    """Regret in percentage points after each trial of one search; without an objective, of the accuracy alone."""
    def score(network: Network, accuracy: float) -> float:
        return accuracy if objective is None else reward(accuracy, network.latency_ms, objective)

    best = max(score(network, statistics.fmean(network.accuracies)) for network in table.rows.values())
    noise, finished, others, curve = random.Random(seed), [], [], []
    for _ in range(trials):
        encoding, = samplers.suggest(name, table.space, finished, 1, seed=seed, objective=objective)
        network = table.rows[encoding]
        answered = noise.choice(range(len(network.accuracies)))
        accuracy = network.accuracies[answered]
        finished.append(FinishedTrial(encoding, score(network, accuracy), accuracy, network.latency_ms))
        others.append([*network.accuracies[:answered], *network.accuracies[answered + 1:]])
        chosen = max(range(len(finished)), key=lambda trial: finished[trial].reward)
        true = score(table.rows[finished[chosen].encoding], statistics.fmean(others[chosen]))
        curve.append(100 * (best - true))
    return curve


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of the 95 % interval around it."""
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return statistics.fmean(values), 1.96 * spread / len(values) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--gp-seeds", type=int, default=5, help="of gp, which needs about a second per suggestion")
    parser.add_argument("--samplers", nargs="+", choices=samplers.NAMES, default=samplers.NAMES)
    parser.add_argument("--trials", type=int, default=max(SHOWN))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("sampler_regret.png"))
    options = parser.parse_args()
    table = read_table(options.table)
    names = dict.fromkeys(("random", *options.samplers))
    found = {}
    with ProcessPoolExecutor(options.workers) as pool:
        for title, objective in (("accuracy", None), ("soft reward", table.objective())):
            jobs = {name: [pool.submit(regrets, table, name, seed, options.trials, objective)
                           for seed in range(options.gp_seeds if name == "gp" else options.seeds)] for name in names}
            found[title] = {name: [job.result() for job in waiting] for name, waiting in jobs.items()}
            print_table(title, found[title])
    plot(found, options.plot)


def print_table(title: str, curves: dict[str, list[list[float]]]) -> None:
    trials = len(curves["random"][0])
    shown, at = [n for n in SHOWN if n <= trials], min(COMPARED, trials)
    print(f"\nRegret in {title}, percentage points; the difference to random at {at} trials\n")
    print("| sampler | seeds |" + "".join(f" {n} trials |" for n in shown) + " difference |")
    print("|---|---|" + "---|" * (len(shown) + 1))
    for name, found in curves.items():
        cells = ["{:.3f} ± {:.3f}".format(*interval([curve[n - 1] for curve in found])) for n in shown]
        apart = [a[at - 1] - b[at - 1] for a, b in zip(found, curves["random"], strict=False)]
        cells.append("" if name == "random" else "{:+.3f} ± {:.3f}".format(*interval(apart)))
        print(f"| {name} | {len(found)} | {' | '.join(cells)} |", flush=True)


def plot(found: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(11, 4.5), sharey=True)
    for axes, (title, curves) in zip(panels, found.items(), strict=True):
        for name, runs in curves.items():
            points = [interval(at) for at in zip(*runs, strict=True)]
            line, = axes.plot(range(1, len(points) + 1), [mean for mean, _ in points], label=name,
                              color="black" if name == "random" else None)
            axes.fill_between(range(1, len(points) + 1), [m - h for m, h in points], [m + h for m, h in points],
                              color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set(xlabel="trials", title=title, yscale="log")
    panels[0].set_ylabel("regret (percentage points)")
    panels[-1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    print(f"\nplot: {path}")


if __name__ == "__main__":
    main()
