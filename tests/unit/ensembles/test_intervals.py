"""Intervals against their formulas, and against simulated worlds whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from consort.ensembles import intervals
from consort.ensembles.intervals import Interval, Unknown
from consort.ensembles.metrics import bootstrap_means


def resampled(scores: np.ndarray, resamples: int = 1000) -> np.ndarray:
    return bootstrap_means(scores[None], resamples)[:, 0]


def test_verdicts_of_an_interval():
    assert Interval(0.001, 0.01).resolved and Interval(-0.02, -0.001).resolved and not Interval(-0.01, 0.01).resolved
    assert Interval(-0.004, 0.003).within(0.005) and not Interval(-0.004, 0.006).within(0.005)
    assert Interval(-0.004, 0.02).not_worse(0.005) and not Interval(-0.006, 0.0).not_worse(0.005)
    assert Interval(-0.25, 0.5).width == 0.75


def test_equal_predictions_differ_by_up_to_three_images():
    same = np.zeros(1000)
    found = intervals.of_difference(same, resampled(same))
    assert (found.low, found.high) == pytest.approx((-3 / 1000, 3 / 1000), abs=1e-5)


@pytest.mark.parametrize("better,worse,resolved", [(4, 0, False), (5, 0, False), (6, 0, True), (0, 6, True),
                                                   (9, 0, True), (30, 5, True), (6, 5, False)])
def test_few_images_resolve_what_the_exact_test_confirms(better, worse, resolved):
    difference = np.array([1.0] * better + [-1.0] * worse + [0.0] * (1000 - better - worse))
    assert intervals.of_difference(difference, resampled(difference)).resolved == resolved


def test_a_difference_of_many_images_has_the_percentiles_of_the_bootstrap():
    difference = np.random.default_rng(0).choice([-1.0, 0, 1], 3000, p=[0.05, 0.88, 0.07])
    drawn = resampled(difference)
    found = intervals.of_difference(difference, drawn, 0.9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])))


@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 2, 5]), st.booleans()), min_size=1, max_size=60),
       st.sampled_from([0.6, 0.8, 0.95, 0.99]))
def test_a_balanced_accuracy_lies_within_its_interval_which_is_never_nothing(drawn, confidence):
    labels, right = (np.array(values) for values in zip(*drawn, strict=True))
    found = intervals.of_recalls(right, labels, confidence)
    value = np.mean([right[labels == one].mean() for one in set(labels.tolist())])
    assert found.low - 1e-12 <= value <= found.high + 1e-12 and found.width > 0
    renamed = intervals.of_recalls(right, labels + 3, confidence)
    assert (renamed.low, renamed.high) == pytest.approx((found.low, found.high))


def test_of_one_class_it_is_the_interval_of_agresti_and_coull():
    right = np.arange(50) < 45
    found = intervals.of_recalls(right, np.zeros(50, dtype=int))
    half = 1.959964 * math.sqrt(47 / 54 * 7 / 54 / 54)
    assert (found.low, found.high) == pytest.approx((47 / 54 - half, 47 / 54 + half))


def test_the_interval_of_a_balanced_accuracy_holds_as_often_as_it_says():
    """Not nearly always, as one would that takes the weights of rare classes for variance."""
    rng = np.random.default_rng(0)
    shares, recalls = np.array([0.6, 0.25, 0.1, 0.05]), np.array([0.9, 0.8, 0.7, 0.6])
    held = 0
    for _ in range(400):
        labels = rng.choice(4, 1000, p=shares)
        found = intervals.of_recalls(rng.random(1000) < recalls[labels], labels)
        held += found.low <= recalls.mean() <= found.high
    assert 366 <= held <= 392  # 91.5 to 98 %: three standard errors


@given(st.lists(st.floats(0, 50), min_size=1, max_size=40))
def test_an_nll_lies_within_its_interval_which_never_reaches_below_0(losses):
    found, mean = intervals.of_loss(np.array(losses), 1.0), float(np.mean(losses))
    assert 0 <= found.low <= mean * (1 + 1e-9) <= found.high * (1 + 2e-9) and 0 < found.width < np.inf


def test_of_many_images_the_interval_of_an_nll_is_the_normal_one_and_of_few_it_reaches_further_up():
    losses = np.random.default_rng(0).exponential(0.4, 20_000)
    many, few = intervals.of_loss(losses, 1.0), intervals.of_loss(losses[:50], 1.0)
    normal = intervals.of_mean(losses, 1.0)
    assert (many.low, many.high) == pytest.approx((normal.low, normal.high), abs=1e-4)
    mean = losses[:50].mean()
    assert few.high - mean > 1.2 * (mean - few.low)
    assert few.high * few.low == pytest.approx(mean**2)


def test_the_interval_of_an_nll_that_few_images_have_most_of_holds_more_often_than_a_normal_one():
    """Of 300 images, half of the loss is of 15."""
    rng = np.random.default_rng(1)
    held = normal = 0
    for _ in range(400):
        losses = np.exp(1.8 * rng.standard_normal(300) - 4)
        truth = math.exp(-4 + 1.8**2 / 2)
        one, other = intervals.of_loss(losses, 0.05), intervals.of_mean(losses, 0.05)
        held += one.low <= truth <= one.high
        normal += other.low <= truth <= other.high
    assert held >= 352 and held > normal + 8


def test_simultaneous_intervals_hold_together():
    """100 equal rows of noise: single intervals miss somewhere nearly always, simultaneous ones in one world of 20."""
    together = alone = 0
    for seed in range(60):
        scores = np.random.default_rng(seed).choice([-1.0, 0, 1], (30, 400), p=[0.1, 0.8, 0.1])
        drawn = bootstrap_means(scores, 400, seed)
        found = intervals.simultaneous(scores.mean(axis=1), drawn, 400)
        together += all(not one.resolved for one in found)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        alone += bool(((low <= 0) & (high >= 0)).all())
    assert together >= 52 and alone < 35


def test_a_row_that_never_varies_is_uncertain_in_simultaneous_intervals_too():
    found, = intervals.simultaneous(np.zeros(1), np.zeros((100, 1)), 1000)
    assert found.high == pytest.approx(3 / 1000, rel=0.01) and found.low == -found.high


def lucky_members(seed: int, num: int, images: int, tau: float) -> np.ndarray:
    """Members that are right with a probability of their own: bool [num, images]."""
    random = np.random.default_rng(seed)
    return random.random((num, images)) < (0.8 + tau * random.standard_normal(num))[:, None]


def test_pooled_variance_equals_its_formula_written_out():
    right = lucky_members(1, 5, 300, 0.05)
    architectures = ["a", "a", "b", "a", "c"]
    observed = np.var([right[i].mean() for i in (0, 1, 3)], ddof=1)
    noise = np.mean([np.var(right[[0, 1, 3], image], ddof=1) for image in range(300)]) / 300
    found = intervals.pooled_seed_variance(right, architectures)
    assert found.freedom == 2
    assert found.observed == pytest.approx(observed)
    assert found.pooled == pytest.approx(max(0, observed - noise))
    assert found.lasting == dict.fromkeys("abc", found.pooled)


def test_pooled_variance_finds_what_a_seed_changes_for_good():
    none = intervals.pooled_seed_variance(lucky_members(2, 40, 2000, 0.0), ["a"] * 20 + ["b"] * 20)
    some = intervals.pooled_seed_variance(lucky_members(2, 40, 2000, 0.01), ["a"] * 20 + ["b"] * 20)
    assert none.pooled ** 0.5 < 0.004
    assert some.pooled ** 0.5 == pytest.approx(0.01, rel=0.3)


def test_one_seed_of_everything_says_nothing_of_seeds():
    right = lucky_members(3, 3, 100, 0.1)
    seeds = intervals.pooled_seed_variance(right, ["a", "b", "c"])
    assert seeds is None
    assert intervals.trained_again(0.01, 1e-4, np.ones(3), ["a", "b", "c"], seeds) == Unknown(intervals.ONE_SEED)


def test_a_network_that_was_imported_is_not_named_to_be_trained():
    """A second seed of it cannot be had: of the others the one that moves the difference most is named."""
    def named(weights: list[float], architectures: str, imported: set[str]) -> Unknown | intervals.Interval:
        seeds = intervals.pooled_seed_variance(lucky_members(3, 4, 100, 0.1), list("aabi"), imported)
        return intervals.trained_again(0.01, 1e-9, np.array(weights), list(architectures), seeds)

    def more_of(name: str) -> Unknown:
        return Unknown(f"unknown from so few seeds, train more of {name}")

    assert named([0.5, 0.5, -1.0], "aai", set()) == more_of("i")
    assert named([0.5, 0.5, -1.0], "aai", {"i"}) == more_of("a")
    assert named([1.0, -1.0], "bi", {"i"}) == more_of("b")
    assert named([1.0, -1.0], "bi", {"b", "i"}) == more_of("a")


def test_weights_are_a_members_share_in_the_one_minus_that_in_the_other():
    weights = intervals.member_weights([(0, 1), (0, 2)], [(2,), (3,)], 4)
    assert weights.tolist() == pytest.approx([0.5, 0.25, -0.25, -0.5])


def test_trained_again_equals_its_formula():
    seeds = intervals.Seeds({"a": 4e-4, "b": 1e-4}, 1e-4, 2e-4, 6)
    weights = np.array([0.5, 0.5, -1.0])
    found = intervals.trained_again(0.02, 1e-4, weights, ["a", "a", "b"], seeds, 0.95)
    variance = 1e-4 + 0.25 * 4e-4 * 2 + 1e-4
    freedom = 6 * variance**2 / (1.5 * 2e-4) ** 2
    half = t.ppf(0.975, freedom) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half))


def test_trained_again_is_wider_than_for_these_networks_and_no_wider_than_it_can_be():
    """1.02 degrees of freedom: 12 standard errors to each side."""
    seeds = intervals.Seeds({"a": 1e-3}, 1e-3, 1.4e-3, 2)
    found = intervals.trained_again(0.02, 1e-6, np.array([1.0, -1.0]), ["a", "a"], seeds)
    half = t.ppf(0.975, 2 * (2.001e-3 / 2.8e-3) ** 2) * math.sqrt(2.001e-3)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half)) and half > 0.5
    again = intervals.trained_again(0.9, 1e-6, np.array([1.0, -1.0]), ["a", "a"], seeds)
    assert (again.low > 0, again.high) == (True, 1)


@pytest.mark.parametrize("observed,known", [(1.99e-4, True), (2.01e-4, False)])
def test_below_one_degree_of_freedom_it_is_unknown(observed, known):
    """nu (V1 + f tau^2)^2 = (f s^2)^2 where s^2 = 2e-4: V1 = 2e-4, f = 2, tau = 0.1e-1, nu = 1."""
    seeds = intervals.Seeds({"a": 1e-4}, 1e-4, observed, 1)
    found = intervals.trained_again(0.0, 2e-4, np.array([1.0, -1.0]), ["a", "a"], seeds)
    assert isinstance(found, Interval) == known
    assert known or found == Unknown("unknown from so few seeds, train more of a")


def test_what_would_leave_nothing_out_is_unknown():
    seeds = intervals.Seeds({"a": 0.01}, 0.01, 0.01, 1)
    half = float(t.ppf(0.975, 1)) * math.sqrt(1e-6 + 0.01)  # 1.27
    args = 1e-6, np.array([1.0]), ["a"], seeds, 0.95
    assert isinstance(intervals.trained_again(0.0, *args), Unknown)
    some = intervals.trained_again(half - 0.9, *args)
    assert (some.low, some.high) == pytest.approx((-0.9, 1.0), abs=1e-3)
    assert isinstance(intervals.trained_again(0.0, *args, largest=1.5), Interval)


def test_more_seeds_are_asked_of_the_architecture_that_decides_most():
    seeds = intervals.Seeds({"a": 0.0, "b": 0.0}, 0.0, 1.0, 1)
    found = intervals.trained_again(0.0, 1e-6, np.array([1 / 3, 1 / 3, 1 / 3, -1.0]), ["a", "a", "a", "b"], seeds)
    assert found == Unknown("unknown from so few seeds, train more of b")
    found = intervals.trained_again(0.0, 1e-6, np.array([1.0, -0.8, -0.8]), ["a", "b", "b"], seeds)
    assert found == Unknown("unknown from so few seeds, train more of b")


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.floats(-0.5, 0.5))
def test_every_interval_that_is_shown_says_something(seed, num, gain):
    """Whatever the seeds: it has the gain inside, some value outside, and no more than 12.8 standard errors a side."""
    right = lucky_members(seed, num, 40, 0.1)
    seeds = intervals.pooled_seed_variance(right, ["a"] * num)
    difference = right[0].astype(float) - right[1]
    weights = np.array([1.0, -1.0] + [0.0] * (num - 2))
    image_variance = intervals.image_variance_of(difference)
    found = intervals.trained_again(gain, image_variance, weights, ["a"] * num, seeds)
    if isinstance(found, Interval):
        assert found.low < gain < found.high and found.width < 2
        assert found.width <= 2 * 12.8 * math.sqrt(image_variance + 2 * seeds.pooled)
    else:
        assert found.why.endswith("train more of a")


def test_image_variance_is_that_of_a_mean_and_never_nothing():
    difference = np.array([1.0, 0, 0, -1])
    assert intervals.image_variance_of(difference) == pytest.approx(np.var(difference, ddof=1) / 4)
    assert intervals.image_variance_of(np.zeros(100)) == pytest.approx(1e-4)
