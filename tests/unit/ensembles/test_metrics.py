"""Metrics against straightforward definitions, written out with loops."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from consort.ensembles import metrics

untimed = settings(deadline=None)
"""The first example pays for imports, and other processes may have the cores."""


def softmax_log(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


@st.composite
def predictions(draw, max_images: int = 30):
    """Log-probabilities float64 [images, classes] with ties among them, and labels."""
    images, classes = draw(st.integers(1, max_images)), draw(st.integers(2, 5))
    whole = hnp.arrays(np.float64, (images, classes), elements=st.integers(-6, 6).map(float))
    labels = draw(hnp.arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    return softmax_log(draw(whole)), labels


def is_right(row: np.ndarray, label: int) -> bool:
    return all(row[label] > score + metrics.TIE for c, score in enumerate(row) if c != label)


@untimed
@given(predictions())
def test_accuracy_counts_images_whose_true_class_is_strictly_above(case):
    log_probs, labels = case
    right = [is_right(row, label) for row, label in zip(log_probs, labels, strict=True)]
    assert metrics.correct(log_probs, labels).tolist() == right
    assert metrics.accuracy(log_probs, labels) == pytest.approx(sum(right) / len(right))


def test_a_tie_is_not_correct():
    tied = np.log(np.full((2, 4), 0.25))
    assert metrics.accuracy(tied, np.array([0, 3])) == 0


@pytest.mark.parametrize("lead,right", [(0, 0), (5e-7, 0), (5e-6, 1)])
def test_a_lead_within_rounding_is_a_tie(lead, right):
    assert metrics.accuracy(np.array([[-7.0 + lead, -7.0, -9.0]]), np.array([0])) == right


@untimed
@given(predictions())
def test_nll_and_brier_equal_their_definitions(case):
    log_probs, labels = case
    nll = -sum(row[label] for row, label in zip(log_probs, labels, strict=True)) / len(labels)
    brier = sum((math.exp(score) - (c == label)) ** 2 for row, label in zip(log_probs, labels, strict=True)
                for c, score in enumerate(row)) / len(labels)
    assert metrics.nll(log_probs, labels) == pytest.approx(nll)
    assert metrics.brier(log_probs, labels) == pytest.approx(brier)


@untimed
@given(predictions(), st.integers(1, 15))
def test_ece_and_reliability_equal_their_definitions(case, bins):
    log_probs, labels = case
    confidences = [math.exp(max(row)) for row in log_probs]
    assume(all(abs(c * bins - round(c * bins)) > 1e-9 or c > 1 - 1e-9 for c in confidences))
    expected = 0.0
    binned = metrics.reliability(log_probs, labels, bins)
    for b in range(bins):
        inside = [i for i, c in enumerate(confidences) if b / bins < min(c, 1.0) <= (b + 1) / bins]
        assert binned.count[b] == len(inside)
        if inside:
            right = sum(is_right(log_probs[i], labels[i]) for i in inside) / len(inside)
            confidence = sum(confidences[i] for i in inside) / len(inside)
            assert binned.accuracy[b] == pytest.approx(right)
            assert binned.confidence[b] == pytest.approx(confidence)
            expected += len(inside) / len(labels) * abs(right - confidence)
        else:
            assert math.isnan(binned.accuracy[b])
    assert metrics.ece(log_probs, labels, bins) == pytest.approx(expected)


def test_ece_of_an_even_guess_that_is_never_right_is_its_confidence():
    log_probs = np.log(np.array([[0.8, 0.2]] * 10))
    assert metrics.ece(log_probs, np.ones(10, dtype=np.int64)) == pytest.approx(0.8)


@untimed
@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
def test_fitted_temperature_is_no_worse_with_its_penalty_than_any_of_a_grid(seed, sharpness):
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=60)
    scores = rng.standard_normal((60, 4)) + 1.5 * np.eye(4)[labels]
    log_probs = softmax_log(sharpness * scores)
    fitted = metrics.fit_temperature(log_probs, labels)

    def loss(t: float) -> float:
        return metrics.nll(softmax_log(log_probs / t), labels) + math.log(t) ** 2 / (2 * 0.5**2 * 60)

    best = min(loss(t) for t in np.geomspace(1 / metrics.LARGEST_TEMPERATURE, metrics.LARGEST_TEMPERATURE, 200))
    assert loss(fitted) <= best + 1e-6


def test_temperature_undoes_a_known_scaling():
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=4000)
    log_probs = softmax_log(rng.standard_normal((4000, 10)) + 2 * np.eye(10)[labels]).astype(np.float32)
    once = metrics.fit_temperature(log_probs, labels)
    sharper = softmax_log(3 * log_probs)
    # The penalty, which is not scaled, moves both a little.
    assert metrics.fit_temperature(sharper, labels) == pytest.approx(3 * once, rel=2e-3)


def network_of_99_percent(seed: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose margins make one mistake in a hundred, calibrated about right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(10, size=images)
    return softmax_log(1.5 * rng.standard_normal((images, 10)) + 9 * np.eye(10)[labels]), labels


@pytest.mark.parametrize("images,worst", [(50, 1.6), (300, 1.3)])
def test_validation_images_without_a_mistake_do_not_ruin_the_calibration(images, worst):
    """Without the penalty the temperature falls to its bound here, and the NLL of other images rises many times."""
    test_log_probs, test_labels = network_of_99_percent(1000, 20_000)
    before = metrics.nll(test_log_probs, test_labels)
    separable = 0
    for seed in range(40):
        log_probs, labels = network_of_99_percent(seed, images)
        if metrics.accuracy(log_probs, labels) == 1:
            separable += 1
            temperature = metrics.fit_temperature(log_probs, labels)
            assert temperature > 0.2 and metrics.temperature_note(temperature) is None
            assert metrics.nll(softmax_log(test_log_probs / temperature), test_labels) < worst * before
    assert separable


@pytest.mark.parametrize("sign,bound,why", [(1, 0.1, "less sure"), (-1, 10, "guesses")])
def test_a_temperature_at_its_bound_is_said(sign, bound, why):
    labels = np.arange(5000) % 2
    log_probs = softmax_log(sign * np.eye(2)[labels] * (0.05 if sign > 0 else 5))
    temperature = metrics.fit_temperature(log_probs, labels)
    assert temperature == pytest.approx(bound, rel=1e-3)
    assert why in metrics.temperature_note(temperature)
    assert metrics.temperature_note(1.4) is None


@untimed
@given(hnp.arrays(np.int64, st.tuples(st.integers(2, 5), st.integers(1, 20)), elements=st.integers(0, 2)))
def test_disagreement_is_the_share_of_images_with_other_classes(votes):
    matrix = metrics.disagreement(votes)
    for i, one in enumerate(votes):
        for j, other in enumerate(votes):
            assert matrix[i, j] == pytest.approx(sum(a != b for a, b in zip(one, other, strict=True)) / len(one))


@untimed
@given(hnp.arrays(np.bool_, st.tuples(st.integers(2, 5), st.integers(2, 20))))
def test_error_correlation_is_pearsons_and_nan_where_a_member_never_varies(wrong):
    matrix = metrics.error_correlation(wrong)
    for i, one in enumerate(wrong):
        for j, other in enumerate(wrong):
            if one.all() or other.all() or not one.any() or not other.any():
                assert math.isnan(matrix[i, j])
            else:
                assert matrix[i, j] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)


def test_mean_over_pairs_leaves_out_undefined_pairs():
    matrix = np.array([[0.0, 0.2, np.nan], [0.2, 0.0, 0.4], [np.nan, 0.4, 0.0]])
    assert metrics.mean_over_pairs(matrix, (0, 1, 2)) == pytest.approx(0.3)
    assert metrics.mean_over_pairs(matrix, (0, 2)) is None
    assert metrics.mean_over_pairs(matrix, (1,)) is None


def test_oracle_accuracy_needs_one_member_to_be_right():
    right = np.array([[True, False, False, False], [False, True, False, False]])
    assert metrics.oracle_accuracy(right) == 0.5


@pytest.mark.parametrize("rows,images,resamples", [(3, 50, 40), (22, 100_000, 21)])  # in one chunk, and in several
def test_bootstrap_means_equal_the_means_of_drawn_images(rows, images, resamples):
    scores = np.random.default_rng(7).integers(0, 4, size=(rows, images))
    drawn = np.random.default_rng(11)
    expected = [scores[:, drawn.integers(images, size=images)].mean(axis=1) for _ in range(resamples)]
    np.testing.assert_allclose(metrics.bootstrap_means(scores, resamples, seed=11), expected, rtol=1e-12)


def test_bootstrap_spread_is_the_binomial_standard_error_and_equal_rows_never_differ():
    right = (np.arange(1000) < 900).astype(np.int32)
    means = metrics.bootstrap_means(np.stack([right, right]), 4000)
    assert means[:, 0].std() == pytest.approx(math.sqrt(0.9 * 0.1 / 1000), rel=0.05)
    low, high = metrics.interval(means[:, 0] - means[:, 1], 0.95)
    assert low == high == 0


def test_interval_leaves_the_same_share_out_at_both_ends():
    low, high = metrics.interval(np.arange(101.0)[:, None] * [1.0, 10.0], 0.9)
    assert low.tolist() == pytest.approx([5.0, 50.0])
    assert high.tolist() == pytest.approx([95.0, 950.0])


points = st.lists(st.tuples(st.one_of(st.integers(0, 4).map(float), st.just(math.nan)), st.integers(0, 4)),
                  min_size=1, max_size=12)


@untimed
@given(points)
def test_pareto_front_holds_exactly_the_points_that_none_dominates(cases):
    costs, values = (np.array(column, dtype=np.float64) for column in zip(*cases, strict=True))
    front = metrics.pareto_front(costs, values)
    for (cost, value), on_front in zip(cases, front, strict=True):
        dominated = any(c <= cost and v >= value and (c < cost or v > value) for c, v in cases)
        assert on_front == (not math.isnan(cost) and not dominated)
