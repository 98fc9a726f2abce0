"""The suggestion service behind a real gRPC server, asked by a real client."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from consort import samplers
from consort.suggestion import api_pb2 as api
from consort.suggestion.server import HEALTH_NAME
from suggestion_calls import Client, experiment, reward_of, serving, small_space, trial

SPACE = small_space()
ASKED = experiment(SPACE.parameters)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving() as asked:
        yield asked


def canonical(space, assignments) -> tuple[int, ...]:
    return space.canonical(space.encoding_of(assignments))


def refused(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_a_history_of_a_thousand_trials_is_replayed_to_the_same_suggestions_in_whatever_order_it_comes(client):
    space = small_space(members=2, stages=3)
    rng = random.Random(7)
    drawn = [space.assignments(space.draw(rng)) for _ in range(1000)]
    trials = [trial(n, chosen, reward_of(chosen)) for n, chosen in enumerate(drawn)]
    asked = experiment(space.parameters, settings={"seed": "3"})
    first = client.suggest(asked, trials, 4)
    rng.shuffle(trials)
    assert client.suggest(asked, trials, 4) == first
    assert len(first) == 4


def run_search(clients, trials: int, at_a_time: int, asked=ASKED) -> list[dict]:
    """A search as Katib leads it, one client for each call; the oldest running trial ends before each call."""
    chosen: list[dict] = []
    for ended, client in enumerate(clients):
        known = [trial(n, c, reward_of(c)) if n < ended else trial(n, c, None, api.TrialStatus.RUNNING)
                 for n, c in enumerate(chosen)]
        running = len(chosen) - ended
        chosen += client.suggest(asked, known, min(at_a_time - running, trials - len(chosen)))
        if len(chosen) >= trials:
            break
    return chosen


def test_two_restarts_in_the_middle_change_nothing_in_the_sequence(client):
    def restarting() -> Iterator[Client]:
        for calls in (7, 9, 100):
            with serving() as served:
                for _ in range(calls):
                    yield served

    undisturbed = run_search(iter(lambda: client, None), trials=30, at_a_time=3)
    assert run_search(restarting(), trials=30, at_a_time=3) == undisturbed
    assert len(undisturbed) == 30


@pytest.mark.parametrize("sampler", samplers.NAMES)
def test_with_16_trials_in_parallel_none_is_proposed_twice_while_there_are_others(client, sampler):
    asked = experiment(SPACE.parameters, f"consort-{sampler}")
    trials = 20 if sampler == "gp" else 40  # it takes seconds for each
    chosen = run_search(iter(lambda: client, None), trials=trials, at_a_time=16, asked=asked)
    encodings = [canonical(SPACE, c) for c in chosen]
    assert len(set(encodings)) == len(encodings) == trials


@pytest.mark.parametrize("sampler", samplers.NAMES)
def test_an_exhausted_space_still_gets_exactly_as_many_as_were_asked_for(client, sampler):
    space = small_space(stages=1, widths=(8,))
    every = [space.assignments(e) for e in space.candidates()]
    asked = experiment(space.parameters, f"consort-{sampler}")
    known = [trial(n, c, reward_of(c)) for n, c in enumerate(every[:-1])]
    two = client.suggest(asked, known, 2)
    assert len(two) == 2 and canonical(space, two[0]) == canonical(space, every[-1])
    assert len(client.suggest(asked, [*known, trial(99, every[-1], "0.5")], 5)) == 5


def test_failed_and_running_trials_are_not_proposed_again(client):
    space = small_space(stages=1)
    every = [space.assignments(e) for e in space.candidates()]
    conditions = [api.TrialStatus.FAILED, api.TrialStatus.RUNNING, api.TrialStatus.CREATED, api.TrialStatus.KILLED,
                  api.TrialStatus.EARLYSTOPPED, api.TrialStatus.UNKNOWN]
    known = [trial(n, c, None, condition) for n, (c, condition) in enumerate(zip(every, conditions, strict=False))]
    left = {canonical(space, c) for c in every[len(known):]}
    chosen = client.suggest(experiment(space.parameters, "consort-random"), known, len(left))
    assert {canonical(space, c) for c in chosen} == left


def test_a_trial_whose_metrics_were_lost_and_is_not_told_does_not_make_the_service_propose_it_for_ever(client):
    known = [trial(n, c, reward_of(c)) for n, c in enumerate(client.suggest(ASKED, [], 3))]
    proposed = [str(client.suggest(ASKED, known, 1, total=4 + lost)) for lost in range(6)]
    assert len(set(proposed)) > 1


def test_what_is_no_number_is_no_reward(client):
    known = [trial(n, SPACE.assignments(e), text) for n, (e, text) in enumerate(
        zip(SPACE.candidates(), ("unavailable", "nan", "inf", ""), strict=False))]
    assert len(client.suggest(ASKED, known, 2)) == 2


@pytest.mark.parametrize("method", ["GetSuggestions", "ValidateAlgorithmSettings"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05abc", b"\x00" * 100, os.urandom(4096), b""])
def test_malformed_bytes_are_answered_with_a_status_and_harm_nothing(client, method, data):
    error = refused(lambda: client.raw(method, data))
    assert error.code() == INVALID and error.details()
    assert len(client.suggest(ASKED, [], 2)) == 2


def test_an_unknown_method_is_answered_with_a_status(client):
    assert refused(lambda: client.raw("Propose", b"")).code() == grpc.StatusCode.UNIMPLEMENTED


def changed(**values) -> api.Experiment:
    asked = api.Experiment()
    asked.CopyFrom(ASKED)
    for name, value in values.items():
        if name == "settings":
            asked.spec.algorithm.algorithm_settings.extend(
                api.AlgorithmSetting(name=n, value=v) for n, v in value.items())
        elif name == "algorithm":
            asked.spec.algorithm.algorithm_name = value
        else:
            value(asked.spec)
    return asked


@pytest.mark.parametrize(("asked", "says"), [
    (changed(algorithm="consort-evolutoin"), "did you mean consort-evolution"),
    (changed(algorithm="evolution"), "unknown algorithm 'evolution'"),
    (changed(settings={"populaton": "20"}), "populaton"),
    (changed(settings={"population": "1"}), "population"),
    (changed(settings={"population": "many"}), "population"),
    (changed(settings={"seed": "-1"}), "seed is a whole number of 0 or more, got '-1'"),
    (changed(settings={"reward": "soft"}), "target_latency_ms, which is missing"),
    (changed(settings={"target_latency_ms": "fast"}), "target_latency_ms"),
    (changed(settings={"target_latency_ms": "0"}), "target_latency_ms"),
    (changed(settings={"target_latency_ms": "1", "reward": "gentle"}), "reward"),
    (changed(spec=lambda spec: spec.parameter_specs.Clear()), "a search space has one stage or more"),
    (changed(spec=lambda spec: spec.parameter_specs.parameters.pop()), "m1_s2_skip"),
    (changed(spec=lambda spec: setattr(spec.parameter_specs.parameters[1], "parameter_type", api.DOUBLE)),
     "m1_s1_width is not"),
    (changed(spec=lambda spec: setattr(spec.objective, "objective_metric_name", "")), "objectiveMetricName"),
])
def test_what_no_suggestion_can_be_made_with_is_refused_with_the_message_that_katib_shows(client, asked, says):
    error = refused(lambda: client.validate(asked))
    assert error.code() == INVALID and says in error.details()
    assert refused(lambda: client.suggest(asked, [], 1)).code() == INVALID


def test_settings_of_the_sampler_and_of_the_objective_are_accepted(client):
    client.validate(changed(settings={"population": "20", "seed": "5", "target_latency_ms": "0.8", "reward": "hard"}))


@pytest.mark.parametrize("number", [-1, 10_001])
def test_a_number_of_suggestions_out_of_range_is_refused(client, number):
    error = refused(lambda: client.suggest(ASKED, [], number))
    assert error.code() == INVALID and str(number) in error.details()


def test_a_trial_that_is_not_of_the_space_is_named(client):
    wrong = trial(0, {**SPACE.assignments(next(SPACE.candidates())), "m1_s1_width": "999"}, "0.5")
    assert "digits-00000000: m1_s1_width is one of 8, 16" in refused(
        lambda: client.suggest(ASKED, [wrong], 1)).details()


def test_the_health_service_answers_for_the_name_that_katib_asks_for(client):
    health = health_pb2_grpc.HealthStub(client.channel)
    for name in (HEALTH_NAME, ""):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    other = health_pb2.HealthCheckRequest(service="api.v1.beta1.Suggestion")
    unknown = refused(lambda: health.Check(other, timeout=10))
    assert unknown.code() == grpc.StatusCode.NOT_FOUND


def test_the_command_serves_until_sigterm_and_then_ends_well():
    command = [sys.executable, "-m", "consort", "suggest-serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        listening = re.fullmatch(r"listening on port (\d+)\n", process.stdout.readline())
        assert listening, process.stderr.read()
        client = Client(int(listening[1]))
        assert len(client.suggest(ASKED, [], 2)) == 2
        client.channel.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_named(client):
    with serving() as other:
        port = other.channel._channel.target().decode().rsplit(":", 1)[1]
        done = subprocess.run([sys.executable, "-m", "consort", "suggest-serve", "--port", port], capture_output=True,
                              text=True, timeout=60)
    assert done.returncode == 2 and f"port {port} cannot be listened on" in done.stderr
