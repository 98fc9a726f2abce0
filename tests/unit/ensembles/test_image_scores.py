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
from consort.ensembles.metrics import TIE, accuracy, nll
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


@st.composite
def tied(draw) -> tuple[np.ndarray, np.ndarray]:
    """Scores of five classes that are often equal and sometimes far apart, so that float32 has no room for the
    probability; of the classes some are absent from the labels, whatever their numbers."""
    there = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))
    labels = np.array(draw(st.lists(st.sampled_from(there), min_size=1, max_size=40)))
    levels = st.sampled_from([0.0, 0.0, 1.0, -1.0, 300.0, -5000.0])
    rows = draw(st.lists(st.lists(levels, min_size=5, max_size=5), min_size=len(labels), max_size=len(labels)))
    return log_softmax(np.array(rows, dtype=np.float32)), labels


def right_by_loops(log_probs: np.ndarray, labels: np.ndarray) -> list[bool]:
    return [all(row[label] > row[other] + TIE for other in range(5) if other != label)
            for row, label in zip(log_probs.astype(float).tolist(), labels, strict=True)]


@given(tied())
def test_ties_absent_classes_and_probabilities_of_nothing_are_counted_as_defined(drawn):
    log_probs, labels = drawn
    right = right_by_loops(log_probs, labels)
    true = [float(row[label]) for row, label in zip(log_probs, labels, strict=True)]
    of_class = {one: [r for r, label in zip(right, labels, strict=True) if label == one] for one in labels.tolist()}
    expected = {"accuracy": sum(right) / len(right),
                "balanced_accuracy": sum(sum(of) / len(of) for of in of_class.values()) / len(of_class),
                "nll": -math.fsum(true) / len(labels)}
    for metric in NAMES:
        scores = image_scores(metric, log_probs, labels)
        assert np.isfinite(scores).all()
        assert value_of(metric, scores) == pytest.approx(expected[metric], rel=1e-6, abs=1e-8)


@given(tied(), st.integers(0, 2**32 - 1))
def test_neither_the_order_of_images_nor_the_names_of_classes_play_a_part(drawn, seed):
    log_probs, labels = drawn
    rng = np.random.default_rng(seed)
    images, names = rng.permutation(len(labels)), rng.permutation(5)
    renamed = np.empty_like(log_probs)
    renamed[:, names] = log_probs
    for metric in NAMES:
        value = value_of(metric, image_scores(metric, log_probs, labels))
        assert value_of(metric, image_scores(metric, log_probs[images], labels[images])) == pytest.approx(value)
        assert value_of(metric, image_scores(metric, renamed, names[labels])) == pytest.approx(value)


@given(tied(), st.integers(2, 7))
def test_more_images_of_a_class_like_those_that_are_there_change_accuracy_but_not_the_balanced_one(drawn, times):
    log_probs, labels = drawn
    repeated = np.where(labels == labels[0], times, 1)
    more, of_more = np.repeat(log_probs, repeated, axis=0), np.repeat(labels, repeated)
    value, again = (value_of("balanced_accuracy", image_scores("balanced_accuracy", *pair))
                    for pair in ((log_probs, labels), (more, of_more)))
    assert again == pytest.approx(value, abs=1e-8)
    if len(set(labels.tolist())) == 1:
        assert value == pytest.approx(accuracy(log_probs, labels), abs=1e-8)


def test_one_wrong_image_of_the_more_frequent_class_counts_less_when_balanced():
    """So the two differ: what repeats one of them would pass for the other."""
    log_probs, labels = np.log(np.array([[0.9, 0.1]] * 4)), np.array([0, 0, 0, 1])
    values = {metric: value_of(metric, image_scores(metric, log_probs, labels)) for metric in NAMES}
    assert values == pytest.approx({"accuracy": 0.75, "balanced_accuracy": 0.5,
                                    "nll": -(3 * math.log(0.9) + math.log(0.1)) / 4})


@given(st.integers(2, 9), st.lists(st.integers(0, 8), min_size=1, max_size=30))
def test_who_gives_every_class_the_same_is_never_right(classes, labels):
    numbers = np.array(labels) % classes
    equal = np.full((len(numbers), classes), -math.log(classes))
    values = {metric: value_of(metric, image_scores(metric, equal, numbers)) for metric in NAMES}
    assert values == pytest.approx({"accuracy": 0, "balanced_accuracy": 0, "nll": math.log(classes)})


def test_what_was_impossible_and_happened_is_infinitely_bad_and_no_warning():
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    labels = np.array([1, 0, 1])
    assert image_scores("nll", log_probs, labels).tolist() == [-np.inf, math.log(0.5), 0.0]
    assert value_of("nll", image_scores("nll", log_probs, labels)) == np.inf == nll(log_probs, labels)
    assert image_scores("accuracy", log_probs, labels).tolist() == [False, False, True]
    assert value_of("balanced_accuracy", image_scores("balanced_accuracy", log_probs, labels)) == pytest.approx(0.25)


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, 3, 7]), min_size=1, max_size=60))
def test_every_class_that_is_there_weighs_alike_and_an_image_one_on_average(drawn):
    labels = np.array(drawn)
    weights = class_weights(labels)
    each = [weights[labels == one].sum() for one in sorted(set(drawn))]
    assert each == pytest.approx([len(drawn) / len(each)] * len(each), abs=1e-6)
    assert weights.mean() == pytest.approx(1, abs=1e-8)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6).filter(any), st.data())
def test_guessing_by_the_shares_of_classes_has_a_finite_nll_whatever_happens(counts, data):
    labels = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=20)))
    scores = guess_scores("nll", np.array(counts), labels)
    assert np.isfinite(scores).all() and (scores < 0).all()
    every = guess_scores("nll", np.array(counts), np.arange(len(counts)))
    assert np.exp(every).sum() == pytest.approx(1)
    assert np.argmax(every) == np.argmax(counts)


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
