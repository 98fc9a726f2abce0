"""Optuna's samplers (https://optuna.readthedocs.io, 5.0): `tpe`, `nsga2` and `gp`, asked anew in every call.

The history becomes trials of a study in memory, every parameter with more than one choice a categorical one. Where the
objective is known, latencies above its target break a constraint. tpe and gp look at the reward; nsga2 at accuracy and
latency, both (at the reward where no objective is given), with generations in the order in which trials ended. Trials
under way are there as running ones. Where Optuna proposes what was tried, one of its neighbours is tried.
`gp` fits its Gaussian process with torch.
"""

import importlib.util
import random
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from consort.errors import InputError
from consort.samplers.settings import Setting, Settings
from consort.samplers.task import Judged, Proposer, Task, new_neighbour
from consort.space.choices import Encoding
from consort.space.objective import Objective

if TYPE_CHECKING:
    import optuna

SETTINGS: dict[str, Settings] = {
    "tpe": {"startup": Setting(10, 1, 10_000)}, "gp": {"startup": Setting(10, 1, 10_000)},
    "nsga2": {"population": Setting(20, 2, 10_000)}}
"""startup: random trials first; population: trials of a generation, the first of which is random."""
ATTEMPTS = {"tpe": 5, "nsga2": 5, "gp": 1}
"""How often Optuna is asked for a candidate that is new; gp answers the same again."""

_alone = threading.Lock()
"""Filters of warnings and Optuna's log level belong to the process."""


def proposer(task: Task) -> Proposer:
    """Raises InputError where Optuna, or the torch that gp needs, is not installed."""
    for package, needed in (("optuna", True), ("torch", task.sampler == "gp")):
        if needed and importlib.util.find_spec(package) is None:
            extra = "consort[search]" if package == "optuna" else "torch"
            raise InputError(f"the sampler {task.sampler} needs {package}, which is not installed here: pip install "
                             f"'{extra}', or choose a sampler of Consort's own, for example evolution.")
    return _Asked(task).propose


class _Asked:
    """A study of Optuna's with the history of a task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        with _quiet():
            self.study, self.distributions = _study(task)

    def propose(self, rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
        with _quiet():
            self.study.sampler = _sampler(self.task, rng.getrandbits(32))
            for _ in range(ATTEMPTS[self.task.sampler]):
                trial = self.study.ask(self.distributions)
                encoding = self.task.space.canonical(
                    [trial.params.get(parameter.name, 0) for parameter in self.task.space.parameters])
                if encoding not in seen:
                    return encoding
                self.study.tell(trial, state=_trial_state().FAIL)
        return new_neighbour(self.task.space, encoding, rng, seen)


def _trial_state() -> "type[optuna.trial.TrialState]":
    from optuna.trial import TrialState

    return TrialState


def _study(task: Task) -> "tuple[optuna.Study, dict[str, optuna.distributions.BaseDistribution]]":
    import optuna

    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        parameter.name: optuna.distributions.CategoricalDistribution(range(len(parameter.choices)))
        for parameter in task.space.parameters if len(parameter.choices) > 1}
    study = optuna.create_study(directions=["maximize", "minimize"] if _two_objectives(task) else ["maximize"])

    def params(encoding: Encoding) -> dict[str, int]:
        return {parameter.name: index for parameter, index in zip(task.space.parameters, encoding, strict=True)
                if parameter.name in distributions}

    judged = [trial for trial in task.judged if _values(task, trial) is not None]
    for number, trial in enumerate(judged):
        study.add_trial(optuna.create_trial(
            values=_values(task, trial), params=params(trial.encoding), distributions=distributions,
            constraints=_constraints(task.objective, trial), system_attrs=_generation(task, number)))
    for encoding in task.pending:
        study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.RUNNING, params=params(encoding),
                                            distributions=distributions))
    return study, distributions


def _two_objectives(task: Task) -> bool:
    return task.sampler == "nsga2" and task.objective is not None


def _values(task: Task, trial: Judged) -> list[float] | None:
    if not _two_objectives(task):
        return [trial.reward]
    if trial.accuracy is None or trial.latency_ms is None:
        return None
    return [trial.accuracy, trial.latency_ms]


def _constraints(objective: Objective | None, trial: Judged) -> dict[str, float] | None:
    """Optuna's constraints are kept where they are 0 or less."""
    if objective is None:
        return None
    latency = objective.target_latency_ms if trial.latency_ms is None else trial.latency_ms
    return {"latency": latency / objective.target_latency_ms - 1}


def _generation(task: Task, number: int) -> dict[str, int]:
    """What NSGAIISampler notes in a trial when it starts; no public function sets it of a finished one."""
    from optuna.samplers import NSGAIISampler

    if task.sampler != "nsga2":
        return {}
    return {NSGAIISampler._get_generation_key(): number // int(task.settings["population"])}


def _sampler(task: Task, seed: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    if task.sampler == "tpe":
        return samplers.TPESampler(n_startup_trials=int(task.settings["startup"]), seed=seed)
    if task.sampler == "gp":
        return samplers.GPSampler(n_startup_trials=int(task.settings["startup"]), seed=seed)
    return samplers.NSGAIISampler(population_size=int(task.settings["population"]), seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log lines and its warnings that something is experimental."""
    import optuna

    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)
