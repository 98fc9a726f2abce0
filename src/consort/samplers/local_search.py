"""Local search (White et al. 2020, arXiv 2005.02960): neighbours of the best trial, one after another.

The next trial is a neighbour, not tried yet, of the best trial that still has one. So a better neighbour is moved to at
once, and where all neighbours of an optimum were tried, the search goes on from the second best: the paper's variants
"query until lower" and "continue at minimum", with its 10 random trials first. Both need nothing but the history, and
work with several trials at a time.
"""

import random
from collections.abc import Collection

from consort.samplers.settings import Setting, Settings
from consort.samplers.task import Proposer, Task, new_neighbour
from consort.space.choices import Encoding

SETTINGS: dict[str, Settings] = {"local-search": {"initial": Setting(10, 1, 10_000)}}
"""initial: random trials first."""


def proposer(task: Task) -> Proposer:
    ranked = list(dict.fromkeys(trial.encoding for trial in sorted(task.judged, key=lambda trial: -trial.reward)))

    def propose(rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
        if len(task.judged) < task.settings["initial"]:
            return None
        while ranked:
            if (neighbour := new_neighbour(task.space, ranked[0], rng, seen)) is not None:
                return neighbour
            ranked.pop(0)  # the candidates that were seen only become more
        return None

    return propose
