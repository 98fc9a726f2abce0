"""Regularised evolution (Real et al. 2019, arXiv 1802.01548): the best of a few of the youngest is mutated.

The population is the last `population` trials that have a reward: the oldest dies, however good it was. A mutation is
one neighbour that was not tried yet. The defaults are for budgets of about 100 trials, those of White et al.'s
comparisons with 150 (BANANAS, 2021: 10 random trials, population 30, sample 10); Real et al. had 20,000 trials, a
population of 100 and samples of 25.
"""

import random
from collections.abc import Collection

from consort.samplers.settings import Setting, Settings
from consort.samplers.task import Proposer, Task, new_neighbour
from consort.space.choices import Encoding

SETTINGS: dict[str, Settings] = {"evolution": {
    "population": Setting(30, 1, 10_000), "sample": Setting(10, 1, 10_000), "initial": Setting(10, 1, 10_000)}}
"""population: trials that may be parents; sample: those that a parent is the best of; initial: random trials first."""


def proposer(task: Task) -> Proposer:
    settings = {name: int(value) for name, value in task.settings.items()}
    population = task.judged[-settings["population"]:]

    def propose(rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
        if len(task.judged) < settings["initial"]:
            return None
        sample = rng.sample(population, min(settings["sample"], len(population)))
        for parent in sorted(sample, key=lambda trial: -trial.reward):
            if (child := new_neighbour(task.space, parent.encoding, rng, seen)) is not None:
                return child
        return None

    return propose
