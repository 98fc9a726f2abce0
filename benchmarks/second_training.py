"""Whether a second training of the best few finds better networks, and by which of its rewards to choose.

    python benchmarks/second_training.py [--table CSV] [--trials 14 60 120] [--top 5] [--repeats 20000]

Of the table of real trainings (architecture_table.py: every network of a small space, 3 seeds each) as many networks
as a random search tries are drawn, and their three trainings shuffled. The first is what the search saw; the second is
that of the best few; the third tells what the chosen network is worth, and nothing else. Means over the repeats with
95 % intervals, percent of validation images; the networks of the table are the same in all.
"""

import argparse

import numpy as np

from sampler_regret import TABLE, read_table

RULES = {
    "the first training alone": lambda first, second: first,
    "the second alone": lambda first, second: second,
    "the mean of both": lambda first, second: first + second,
}


def worth(accuracies: np.ndarray, trials: int, top: int, repeats: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rule -> of each repeat, in percent: the chosen network's third training, and what the search saw of it: its
    second training, or its first where that alone chose. accuracies: [networks, 3]."""
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float]]] = {rule: [] for rule in RULES}
    for _ in range(repeats):
        drawn = accuracies[rng.choice(len(accuracies), trials, replace=False)]
        drawn = rng.permuted(drawn, axis=1)
        best = drawn[np.argsort(-drawn[:, 0], kind="stable")[:top]]
        for number, (rule, score) in enumerate(RULES.items()):
            chosen = best[np.argmax(score(best[:, 0], best[:, 1]))]
            found[rule].append((chosen[2], chosen[min(number, 1)]))
    return {rule: (100 * np.array(pairs)[:, 0], 100 * np.array(pairs)[:, 1]) for rule, pairs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default=TABLE)
    parser.add_argument("--trials", type=int, nargs="+", default=[14, 60, 120])
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20_000)
    options = parser.parse_args()
    accuracies = np.array([network.accuracies for network in read_table(options.table).rows.values()])
    print("| trials | chosen by | its third training | what the search saw of it |\n|---|---|---|---|")
    for trials in options.trials:
        for rule, (third, seen) in worth(accuracies, trials, options.top, options.repeats).items():
            half = 1.96 * third.std() / options.repeats**0.5
            print(f"| {trials} | {rule} | {third.mean():.2f} ± {half:.2f} | {seen.mean():.2f} |")


if __name__ == "__main__":
    main()
