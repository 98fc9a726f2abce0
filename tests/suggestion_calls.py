"""A client of a suggestion service, and the messages that Katib would send it, written by hand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import grpc

from consort.space.choices import Parameter, Space, StageChoices
from consort.suggestion import api_pb2 as api
from consort.suggestion.server import SuggestionServer

Assignments = dict[str, str]


def small_space(members: int = 1, stages: int = 2, widths: Sequence[int] = (8, 16)) -> Space:
    stage = StageChoices(("wide", "mbconv"), tuple(widths), (1, 2), (3,), (2, 4), (True, False))
    return Space("small", (stage,) * stages, members)


def experiment(parameters: Iterable[Parameter], algorithm: str = "consort-evolution",
               settings: Mapping[str, str] | None = None) -> api.Experiment:
    specs = [api.ParameterSpec(name=p.name, parameter_type=api.CATEGORICAL,
                               feasible_space=api.FeasibleSpace(list=p.choices)) for p in parameters]
    return api.Experiment(name="digits", spec=api.ExperimentSpec(
        parameter_specs=api.ExperimentSpec.ParameterSpecs(parameters=specs),
        objective=api.ObjectiveSpec(type=api.MAXIMIZE, objective_metric_name="reward"),
        algorithm=api.AlgorithmSpec(algorithm_name=algorithm, algorithm_settings=[
            api.AlgorithmSetting(name=name, value=value) for name, value in (settings or {}).items()])))


def trial(number: int, assignments: Mapping[str, str], reward: str | None = None,
          condition: int = api.TrialStatus.SUCCEEDED) -> api.Trial:
    """The number-th trial of an experiment; it ended, where it did, number minutes after the first."""
    ended = condition not in (api.TrialStatus.CREATED, api.TrialStatus.RUNNING)
    metrics = {} if reward is None else {"reward": reward, "accuracy": reward, "latency_ms": "0.8"}
    return api.Trial(
        name=f"digits-{number:08d}",
        spec=api.TrialSpec(parameter_assignments=api.TrialSpec.ParameterAssignments(assignments=[
            api.ParameterAssignment(name=name, value=value) for name, value in assignments.items()])),
        status=api.TrialStatus(
            start_time=_time(number), completion_time=_time(number + 1) if ended else "", condition=condition,
            observation=api.Observation(metrics=[api.Metric(name=n, value=v) for n, v in metrics.items()])))


def reward_of(assignments: Mapping[str, str]) -> str:
    """A made-up reward that depends on every choice."""
    value = sum((i + 1) * len(v) for i, (_, v) in enumerate(sorted(assignments.items())))
    return f"{(value * 2654435761 % 1000) / 1000:.3f}"


class Client:
    """Calls as Katib's controller makes them, on a channel of their own."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def raw(self, method: str, data: bytes) -> bytes:
        return self.channel.unary_unary(f"/api.v1.beta1.Suggestion/{method}")(data, timeout=60, wait_for_ready=True)

    def suggest(self, asked: api.Experiment, trials: Sequence[api.Trial], number: int,
                total: int | None = None) -> list[Assignments]:
        request = api.GetSuggestionsRequest(experiment=asked, trials=trials, current_request_number=number,
                                            total_request_number=len(trials) + number if total is None else total)
        reply = api.GetSuggestionsReply.FromString(self.raw("GetSuggestions", request.SerializeToString()))
        return [{a.name: a.value for a in chosen.assignments} for chosen in reply.parameter_assignments]

    def validate(self, asked: api.Experiment) -> None:
        request = api.ValidateAlgorithmSettingsRequest(experiment=asked)
        assert self.raw("ValidateAlgorithmSettings", request.SerializeToString()) == b""


@contextmanager
def serving() -> Iterator[Client]:
    """A server on a free port of this machine, and a client of it."""
    server = SuggestionServer(0, "127.0.0.1")
    server.start()
    client = Client(server.port)
    try:
        yield client
    finally:
        client.channel.close()
        server.stop(1.0)


def _time(minute: int) -> str:
    day, rest = divmod(minute, 24 * 60)
    return f"2026-01-{day + 1:02d}T{rest // 60:02d}:{rest % 60:02d}:00Z"
