"""Random search: the control that every other sampler is compared with."""

from consort.samplers.settings import Settings
from consort.samplers.task import Proposer, Task

SETTINGS: dict[str, Settings] = {"random": {}}


def proposer(task: Task) -> Proposer:
    return lambda rng, seen: task.space.draw_unseen(rng, seen)
