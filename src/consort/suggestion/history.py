"""What Katib tells a suggestion service, as the arguments of a sampler: the space, the settings and the past.

Katib sends the whole Experiment and all its trials with every call, in any order, and leaves out those whose metrics
were lost (Katib 0.19, pkg/controller.v1beta1/suggestion/suggestionclient/suggestionclient.go).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from consort import samplers
from consort.errors import InputError, unknown_name
from consort.samplers import FinishedTrial
from consort.space.choices import Encoding, Parameter, Space, space_of_parameters
from consort.space.objective import Objective
from consort.study.search import SearchObjective
from consort.suggestion import api_pb2 as api

PREFIX = "consort-"
"""In Katib's configuration the sampler `evolution` is the algorithm `consort-evolution`."""
SKELETON = "small"
"""Samplers see choices, not networks: any skeleton does."""
ACCURACY, LATENCY = "accuracy", "latency_ms"
OBJECTIVE_SETTINGS = ("target_latency_ms", "reward", "exponent", "latency")
UNSEEN_STRIDE = 1_000_003

_Status = api.TrialStatus
ENDED_WITHOUT_REWARD = (_Status.FAILED, _Status.KILLED, _Status.METRICSUNAVAILABLE)
ENDED_WITH_REWARD = (_Status.SUCCEEDED, _Status.EARLYSTOPPED)


@dataclass(frozen=True)
class Search:
    """What an Experiment asks of a sampler."""

    sampler: str
    space: Space
    seed: int
    settings: Mapping[str, str]
    objective: Objective | None
    metric: str
    sign: int
    """-1 where the metric is to be small."""


def search_of(experiment: api.Experiment) -> Search:
    """The search that an Experiment describes; raises InputError for what no sampler can do."""
    spec = experiment.spec
    name = spec.algorithm.algorithm_name
    sampler = name.removeprefix(PREFIX)
    if sampler == name or sampler not in samplers.NAMES:
        raise unknown_name("algorithm", name, [PREFIX + known for known in samplers.NAMES])
    if not spec.objective.objective_metric_name:
        raise InputError("the objective has no objectiveMetricName.")
    settings = {setting.name: setting.value for setting in spec.algorithm.algorithm_settings}
    seed, objective = _seed(settings.pop("seed", "0")), _objective(settings)
    samplers.check_settings(sampler, settings)
    return Search(sampler, _space(spec.parameter_specs.parameters), seed, settings, objective,
                  spec.objective.objective_metric_name, -1 if spec.objective.type == api.MINIMIZE else 1)


def past(search: Search, trials: Iterable[api.Trial]) -> tuple[list[FinishedTrial], list[Encoding]]:
    """The trials that ended, in the order in which they did, and the encodings of those that have not."""
    finished, pending = [], []
    for trial in sorted(trials, key=_ended):
        encoding = _encoding(search.space, trial)
        if trial.status.condition in ENDED_WITHOUT_REWARD:
            finished.append(FinishedTrial(encoding, None, None, None))
        elif trial.status.condition in ENDED_WITH_REWARD:
            metrics = {m.name: _number(m.value) for m in trial.status.observation.metrics}
            value = metrics.get(search.metric)
            finished.append(FinishedTrial(encoding, None if value is None else search.sign * value,
                                          metrics.get(ACCURACY), metrics.get(LATENCY)))
        else:
            pending.append(encoding)
    return finished, pending


def seed_of_call(search: Search, request: api.GetSuggestionsRequest) -> int:
    """The seed of one call: another one where earlier suggestions are not among the trials.

    A trial whose metrics were lost is never seen again, so without this a sampler would be asked the same and propose
    the same, until the Experiment has failed.
    """
    earlier = request.total_request_number - request.current_request_number
    return search.seed + UNSEEN_STRIDE * max(0, earlier - len(request.trials))


def _ended(trial: api.Trial) -> tuple[bool, str, str, str]:
    """Order: those that ended first, then the rest; names make it the same for every order that Katib sends."""
    status = trial.status
    return not status.completion_time, status.completion_time, status.start_time, trial.name


def _encoding(space: Space, trial: api.Trial) -> Encoding:
    assigned = {a.name: a.value for a in trial.spec.parameter_assignments.assignments}
    try:
        return space.canonical(space.encoding_of(assigned))
    except InputError as e:
        raise InputError(f"trial {trial.name}: {e}") from e


def _space(parameters: Iterable[api.ParameterSpec]) -> Space:
    listed = (api.CATEGORICAL, api.DISCRETE)
    if bad := [p.name for p in parameters if p.parameter_type not in listed]:
        raise InputError(f"the parameters of this search are categorical, with a list of choices; {bad[0]} is not.")
    return space_of_parameters(SKELETON, [Parameter(p.name, tuple(p.feasible_space.list)) for p in parameters])


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"seed is a whole number of 0 or more, got {text!r}.")
    return int(text)


def _objective(settings: dict[str, str]) -> Objective | None:
    """The objective that some samplers look at, taken out of the settings; None where no target latency is given."""
    given = {name: settings.pop(name) for name in OBJECTIVE_SETTINGS if name in settings}
    if not given:
        return None
    if "target_latency_ms" not in given:
        raise InputError(f"{', '.join(given)} means something only beside target_latency_ms, which is missing.")
    try:
        return SearchObjective.model_validate(given)
    except ValidationError as e:
        first = e.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the objective"
        raise InputError(f"{name}: {first['msg']}, got {first['input']!r}.") from e


def _number(text: str) -> float | None:
    """Katib's `unavailable`, and what is not finite, is no number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
