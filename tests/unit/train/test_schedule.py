"""The learning rate of every step, and the decay of the average."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.study.recipe import RECIPES, Recipe
from consort.train.schedule import average_decay, learning_rate

untimed = settings(deadline=None)

shares = st.floats(0.01, 0.99)
recipes = st.builds(
    Recipe, learning_rate=st.floats(1e-6, 10), schedule=st.sampled_from(["one-cycle", "step"]), warmup=shares,
    milestones=st.lists(shares, unique=True, max_size=4).map(sorted), decay=shares)


def rates(recipe: Recipe, steps: int) -> list[float]:
    return [learning_rate(recipe, step, steps) for step in range(steps)]


@untimed
@given(recipes, st.integers(1, 300))
def test_rates_are_positive_and_at_most_the_peak(recipe, steps):
    assert all(0 < rate <= recipe.learning_rate * (1 + 1e-12) for rate in rates(recipe, steps))


@untimed
@given(recipes, st.integers(1, 300))
def test_one_cycle_rises_and_then_falls(recipe, steps):
    found = rates(recipe.model_copy(update={"schedule": "one-cycle"}), steps)
    top = found.index(max(found))
    assert found[:top + 1] == sorted(found[:top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_one_cycle_is_a_triangle_over_the_middles_of_the_steps():
    recipe = Recipe(schedule="one-cycle", learning_rate=1.0, warmup=0.25)
    assert rates(recipe, 8) == pytest.approx([0.25, 0.75, 11 / 12, 9 / 12, 7 / 12, 5 / 12, 3 / 12, 1 / 12])


def test_one_cycle_of_many_steps_reaches_the_peak_and_ends_near_zero():
    found = rates(Recipe(schedule="one-cycle", learning_rate=0.2, warmup=0.25), 10_000)
    assert max(found) == pytest.approx(0.2, rel=1e-3)
    assert found.index(max(found)) == pytest.approx(2500, abs=1)
    assert max(found[0], found[-1]) < 0.2 * 1e-3


def test_wrn_reference_drops_at_epochs_60_120_and_160():
    recipe = Recipe(**RECIPES["wrn-reference"])
    steps_per_epoch = 390
    found = rates(recipe, recipe.epochs * steps_per_epoch)
    drops = [step for step in range(1, len(found)) if found[step] != found[step - 1]]
    assert [step / steps_per_epoch for step in drops] == [60, 120, 160]
    assert [found[0]] + [found[step] for step in drops] == pytest.approx([0.1, 0.02, 0.004, 0.0008])


def test_step_without_milestones_is_constant():
    assert set(rates(Recipe(schedule="step", learning_rate=0.3, milestones=()), 50)) == {0.3}


def test_an_average_that_is_warmed_up_forgets_its_beginning() -> None:
    recipe = Recipe(ema=0.9999, ema_warmup=True)
    decays = [average_decay(recipe, step) for step in range(100_000)]
    assert decays[:2] == [1 / 10, 2 / 11] and decays == sorted(decays)
    assert decays[-1] == 0.9999 and average_decay(Recipe(ema=0.9999), 0) == 0.9999
    # What is left of the first weights, and what of the first half, after a training of 480 steps.
    assert np.prod(decays[:480]) < 1e-12 and np.prod(decays[240:480]) < 0.01
