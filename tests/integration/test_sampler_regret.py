"""Samplers on a table of real trainings: over 100 searches, evolution and local search are ahead of random search.

The table has every network of a space, trained on a part of CIFAR-10; `benchmarks/sampler_regret.py` has the curves.
"""

import sys
from pathlib import Path
from statistics import fmean

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from sampler_regret import TABLE, Network, Table, interval, read_table, regrets

SEEDS, TRIALS = 100, 100


@pytest.fixture(scope="module")
def table():
    return read_table(TABLE)


@pytest.fixture(scope="module")
def random_search(table):
    return [regrets(table, "random", seed, TRIALS, None)[-1] for seed in range(SEEDS)]


def test_the_table_has_every_network_of_its_space_three_times(table):
    assert len(table.rows) == table.space.size >= 240
    assert {len(network.accuracies) for network in table.rows.values()} == {3}
    assert all(0.1 < accuracy < 1 for network in table.rows.values() for accuracy in network.accuracies)


def test_the_training_that_got_a_network_chosen_says_nothing_of_what_it_is_worth(table):
    """All networks are equal, and a third of the answers is lucky: whoever takes the best answer takes a lucky one."""
    equal = Table(table.space, dict.fromkeys(table.rows, Network(1.0, (0.9, 0.5, 0.5))))
    assert regrets(equal, "random", 0, 30, None)[-1] == pytest.approx(100 * ((0.9 + 0.5 + 0.5) / 3 - 0.5))


@pytest.mark.parametrize("name", ["evolution", "local-search"])
def test_after_100_trials_it_is_ahead_of_random_search(table, random_search, name):
    found = [regrets(table, name, seed, TRIALS, None)[-1] for seed in range(SEEDS)]
    ahead, half = interval([b - a for a, b in zip(found, random_search, strict=True)])
    assert ahead - half > 0, f"{name} {fmean(found):.3f}, random {fmean(random_search):.3f}, {ahead:.3f} ± {half:.3f}"
