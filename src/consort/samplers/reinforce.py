"""REINFORCE (Williams 1992), the controller of MnasNet (Tan et al. 2019) without its recurrent network.

The policy is one categorical distribution per parameter, as in NAS-Bench-101's REINFORCE (Ying et al. 2019): nothing to
train but the logits. They are learnt again from the history in every call: each trial, in order, moves the logits of
the choices that *it* made, by how far its reward is above or below what was usual until then. Choices that meant
nothing in the candidate are left alone.
"""

import random
from collections.abc import Collection, Iterator

import numpy as np

from consort.samplers.settings import Setting, Settings
from consort.samplers.task import Judged, Proposer, Task
from consort.space.choices import DRAWS, GENES, Encoding

SETTINGS: dict[str, Settings] = {"reinforce": {
    "learning_rate": Setting(0.1, 1e-4, 10, whole=False), "baseline_decay": Setting(0.9, 0, 0.999, whole=False)}}
"""learning_rate: of the logits, for a reward one usual deviation above the baseline; baseline_decay: of the moving
average that is the baseline, per trial."""
FARTHEST = 3.0
"""Usual deviations at most, so that one candidate far above the target does not undo what others taught."""


def proposer(task: Task) -> Proposer:
    probabilities = _softmax(_learnt(task)).tolist()
    choices = [range(len(parameter.choices)) for parameter in task.space.parameters]

    def propose(rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
        for _ in range(DRAWS):
            drawn = [rng.choices(options, weights[:len(options)])[0]
                     for options, weights in zip(choices, probabilities, strict=True)]
            if (encoding := task.space.canonical(drawn)) not in seen:
                return encoding
        return None

    return propose


def _learnt(task: Task) -> np.ndarray:
    """Logits [parameters, most choices]; -inf where a parameter has fewer."""
    sizes = [len(parameter.choices) for parameter in task.space.parameters]
    logits = np.where(np.arange(max(sizes)) < np.array(sizes)[:, None], 0.0, -np.inf)
    rows = np.arange(len(sizes))
    for trial, advantage in _advantages(task.judged, task.settings["baseline_decay"]):
        if not advantage:
            continue
        step = task.settings["learning_rate"] * advantage * _means_something(task, trial.encoding)
        gradient = -_softmax(logits)
        gradient[rows, trial.encoding] += 1
        logits += step[:, None] * gradient
    return logits


def _advantages(trials: Collection[Judged], decay: float) -> Iterator[tuple[Judged, float]]:
    """Each trial with its reward's distance from the moving average before it, in moving deviations."""
    mean, square = 0.0, 0.0
    for number, trial in enumerate(trials):
        above = trial.reward - mean if number else 0.0
        deviation = max(square, above * above) ** 0.5 if number == 1 else square ** 0.5
        yield trial, float(np.clip(above / deviation, -FARTHEST, FARTHEST)) if deviation else 0.0
        keep = min(decay, number / (number + 1))  # a plain mean until there are trials enough for a moving one
        mean += (1 - keep) * (trial.reward - mean)
        square += (1 - keep) * (above * above - square)


def _means_something(task: Task, encoding: Encoding) -> np.ndarray:
    """1.0 for each parameter that matters in the candidate, else 0.0."""
    found: list[bool] = []
    for place, choices in enumerate(task.space.stages * task.space.members):
        start = place * len(GENES)
        found += [True, True, True, True, *choices.means(encoding[start:start + len(GENES)])]
    return np.array(found, dtype=float)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
