"""What a search tries next. No sampler keeps state: each call sees the whole history, so a lost process loses nothing.

A sampler is a module with SETTINGS and `proposer(task)`, a function that proposes one candidate at a time. `suggest`
holds the promises: as many as are asked for, all canonical, none that was tried or is being tried while there are
others.
"""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType, ModuleType

from consort.errors import InputError, unknown_name
from consort.samplers.settings import read
from consort.samplers.task import FinishedTrial, Task
from consort.space.choices import Encoding, Space
from consort.space.objective import Objective

__all__ = ["NAMES", "FinishedTrial", "check_settings", "suggest"]

_MODULES = {"random": "random_search", "evolution": "evolution", "local-search": "local_search",
            "reinforce": "reinforce", "tpe": "optuna_samplers", "nsga2": "optuna_samplers", "gp": "optuna_samplers"}
NAMES = tuple(_MODULES)
_NO_SETTINGS: Mapping[str, float | int | str] = MappingProxyType({})


def check_settings(name: str, settings: Mapping[str, float | int | str]) -> None:
    """Raises InputError for an unknown sampler or setting, and for a value out of range."""
    _checked(name, settings)


def suggest(name: str, space: Space, finished: Sequence[FinishedTrial], number: int, *,
            pending: Collection[Encoding] = (), seed: int = 0,
            settings: Mapping[str, float | int | str] = _NO_SETTINGS,
            objective: Objective | None = None) -> list[Encoding]:
    """The next `number` candidates, as canonical encodings: a pure function of its arguments.

    finished: in the order in which the trials ended. pending: candidates that are being tried. Encodings in both are
    canonical. objective: what Optuna's samplers take their constraint and second objective from.
    None of the answer is in finished or pending, and none is in it twice, while the space has others; where it has
    none, tried ones are repeated, the best first. Raises InputError for settings that `check_settings` refuses.
    """
    if number < 0:
        raise InputError(f"the number of suggestions is 0 or more, got {number}.")
    task = Task(name, space, tuple(finished), tuple(sorted(pending)), _checked(name, settings), objective)
    propose = _module(name).proposer(task)
    seen = {*(trial.encoding for trial in finished), *task.pending}
    repeats, chosen = _best_first(task), []
    for place in range(number):
        rng = random.Random(f"{name} {seed} {len(finished)} {len(task.pending) + place}")
        proposed = propose(rng, seen)
        if proposed is None or proposed in seen:
            proposed = space.draw_unseen(rng, seen)
        chosen.append(next(repeats) if proposed is None else proposed)
        seen.add(chosen[-1])
    return chosen


def _best_first(task: Task) -> Iterator[Encoding]:
    """Every candidate that was tried or is being tried, again and again, by falling reward."""
    while True:
        ranked = [trial.encoding for trial in sorted(task.judged, key=lambda trial: -trial.reward)]
        yield from dict.fromkeys((*ranked, *(trial.encoding for trial in task.finished), *task.pending))
        yield from () if task.finished or task.pending else task.space.candidates()


def _checked(name: str, settings: Mapping[str, float | int | str]) -> dict[str, float]:
    values = read(name, _module(name).SETTINGS[name], settings)
    if values.get("sample", 0) > values.get("population", values.get("sample", 0)):
        raise InputError(f"sampler {name}: sample is at most population, got {values['sample']:g} of "
                         f"{values['population']:g}.")
    return values


def _module(name: str) -> ModuleType:
    if name not in _MODULES:
        raise unknown_name("sampler", name, NAMES)
    return import_module(f"consort.samplers.{_MODULES[name]}")
