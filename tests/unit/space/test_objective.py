"""Rewards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consort.errors import InputError
from consort.space.objective import Objective, ensemble_latency_ms, reward

untimed = settings(deadline=None)
accuracies, latencies = st.floats(0, 1), st.floats(1e-3, 1e4)


@pytest.mark.parametrize(("form", "below", "at", "above"), [
    ("soft", 0.8 * 0.5 ** -0.07, 0.8, 0.8 * 2 ** -0.07),
    ("hard", 0.8, 0.8, 0.4),
    ("absolute", 0.8 - 0.035, 0.8, 0.8 - 0.07),
    ("constrained", 0.8, 0.8, -1.0)])
def test_constants_at_half_the_target_at_it_and_at_twice_it(form, below, at, above):
    objective = Objective(target_latency_ms=10, reward=form)
    assert [reward(0.8, latency, objective) for latency in (5, 10, 20)] == pytest.approx([below, at, above])


def test_the_soft_reward_gives_five_percent_of_accuracy_for_twice_the_latency():
    """How MnasNet, section 3.1, chose its exponent."""
    objective = Objective(target_latency_ms=1)
    assert reward(0.5, 1, objective) == pytest.approx(reward(0.5 * 1.05, 2, objective), rel=1e-3)


@pytest.mark.parametrize(("form", "above"), [("soft", 0.8 * 2 ** -0.2), ("hard", 0.8 * 2 ** -0.2),
                                             ("absolute", 0.8 - 0.2)])
def test_an_exponent_takes_the_place_of_the_constant(form, above):
    objective = Objective(target_latency_ms=10, reward=form, exponent=-0.2)
    assert reward(0.8, 20, objective) == pytest.approx(above)


@untimed
@given(accuracies, latencies, accuracies, latencies, st.floats(1e-2, 1e3))
def test_every_candidate_within_the_target_is_above_every_one_that_is_not(one, fast, other, slow, target):
    objective = Objective(target_latency_ms=target, reward="constrained")
    if fast <= target < slow:
        assert reward(one, fast, objective) > reward(other, slow, objective)


@pytest.mark.parametrize("target", [0.1, 0.3, 1.0, 7.7])
def test_the_least_excess_is_below_no_accuracy_at_all(target):
    from math import nextafter

    objective = Objective(target_latency_ms=target, reward="constrained")
    assert reward(0.0, target, objective) > reward(1.0, nextafter(target, 1e9), objective)


@untimed
@given(st.sampled_from(["hard", "soft", "absolute", "constrained"]), accuracies, accuracies, latencies)
def test_more_accuracy_is_never_less_reward(form, one, other, latency):
    objective = Objective(target_latency_ms=3, reward=form)
    low, high = sorted((one, other))
    assert reward(low, latency, objective) <= reward(high, latency, objective)


@untimed
@given(st.sampled_from(["hard", "soft", "absolute", "constrained"]), accuracies, latencies, latencies)
def test_above_the_target_more_latency_is_never_more_reward(form, accuracy, one, other):
    objective = Objective(target_latency_ms=3, reward=form)
    fast, slow = sorted((3 + one, 3 + other))
    assert reward(accuracy, fast, objective) >= reward(accuracy, slow, objective)


def test_an_ensemble_is_as_slow_as_its_slowest_member_or_as_all_together():
    assert ensemble_latency_ms([1.5, 4.0, 2.0], "parallel") == 4.0
    assert ensemble_latency_ms([1.5, 4.0, 2.0], "serial") == 7.5


@pytest.mark.parametrize("latency", [0.0, -1.0, float("nan")])
def test_an_impossible_latency_is_refused(latency):
    with pytest.raises(InputError, match="more than 0 ms"):
        reward(0.5, latency, Objective(target_latency_ms=1))


@pytest.mark.parametrize("change", [
    {"target_latency_ms": 0}, {"target_latency_ms": float("inf")}, {"reward": "sharp"}, {"exponent": 0.07},
    {"latency": "mean"}, {"reward": "constrained", "exponent": -0.1}, {"alpha": 1}])
def test_an_impossible_objective_is_refused(change):
    with pytest.raises(ValidationError):
        Objective(**{"target_latency_ms": 1.0} | change)
