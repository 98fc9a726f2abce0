"""Scores of images by hand and against straightforward definitions of the metrics."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.answer.metric import NAMES
from consort.ensembles.composition import log_softmax
from consort.ensembles.image_scores import class_weights, guess_scores, image_scores, one_image, value_of
from consort.ensembles.metrics import accuracy, nll
from consort.study.answer import Answer


@st.composite
def predictions(draw) -> tuple[np.ndarray, np.ndarray]:
    """Of images of classes 0, 1 and 3 of five, some of them rare."""
    labels = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 0, 1, 3]), min_size=1, max_size=60)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return log_softmax(rng.normal(0, 2, (len(labels), 5)).astype(np.float32)), labels


@given(predictions())
def test_every_metric_is_the_mean_of_its_scores(drawn):
    log_probs, labels = drawn
    right = log_probs.argmax(axis=1) == labels
    recalls = [np.mean([r for r, label in zip(right, labels, strict=True) if label == one]) for one in set(labels)]
    expected = {"accuracy": accuracy(log_probs, labels), "balanced_accuracy": np.mean(recalls),
                "nll": nll(log_probs, labels)}
    for metric in NAMES:
        scores = image_scores(metric, log_probs, labels)
        assert scores.shape == labels.shape
        assert value_of(metric, scores) == pytest.approx(expected[metric], abs=1e-8)


@given(st.integers(0, 2**32 - 1))
def test_equal_recalls_are_equal_values_to_the_last_bit(seed):
    """Whichever the images: sums of weights have no rounding error."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, 500, p=[0.6, 0.3, 0.09, 0.01])
    weights, right = class_weights(labels), rng.random(500) < 0.7
    within = np.arange(500)
    for one in range(4):
        within[labels == one] = rng.permutation(within[labels == one])
    assert value_of("balanced_accuracy", right * weights) == value_of("balanced_accuracy", right[within] * weights)


def test_an_image_of_a_rare_class_counts_more():
    labels = np.array([0] * 8 + [2] * 2)
    assert class_weights(labels).tolist() == [0.625] * 8 + [2.5] * 2
    assert one_image("balanced_accuracy", labels) == pytest.approx(math.sqrt(0.8 * 0.625**2 + 0.2 * 2.5**2))
    assert (one_image("accuracy", labels), one_image("nll", labels)) == (1.0, 1.0)


def test_the_best_answer_that_is_always_the_same():
    labels, counts = np.array([0, 0, 1, 2]), np.array([6, 2, 0, 0])
    assert guess_scores("accuracy", counts, labels).tolist() == [True, True, False, False]
    assert value_of("balanced_accuracy", guess_scores("balanced_accuracy", counts, labels)) == pytest.approx(1 / 3)
    assert value_of("nll", guess_scores("nll", counts, labels)) == pytest.approx(
        -np.mean(np.log([7 / 12, 7 / 12, 3 / 12, 1 / 12])))


def test_a_study_may_ask_for_each_of_them():
    assert get_args(Answer.model_fields["metric"].annotation) == tuple(NAMES)
