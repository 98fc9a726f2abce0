"""Cascades against a loop that asks the members one image at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consort.ensembles.cascades import Cascade, design, run
from consort.ensembles.composition import combine, log_softmax
from consort.ensembles.metrics import accuracy, correct

MACS = [30, 10, 20]


def scores(seed: int, members: int = 3, images: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    logits = random.normal(0, 2, (members, images, classes))
    logits[:, np.arange(images), labels] += 1.5
    return log_softmax(logits), labels


def one_at_a_time(log_probs: np.ndarray, labels: np.ndarray, cascade: Cascade, method: str) -> tuple[float, float]:
    """The definition: ask, combine, stop when confident."""
    right, spent = 0, 0
    for image, label in enumerate(labels):
        asked: list[int] = []
        for member in cascade.order:
            asked.append(member)
            spent += MACS[member]
            prediction = combine(log_probs[asked][:, image:image + 1], method)
            if np.exp(prediction.max()) >= cascade.threshold:
                break
        right += int(correct(prediction, np.array([label]))[0])
    return right / len(labels), spent / len(labels)


@given(st.integers(0, 10_000), st.floats(0, 1), st.sampled_from(["geometric", "arithmetic"]))
def test_run_equals_asking_one_image_at_a_time(seed: int, threshold: float, method: str) -> None:
    log_probs, labels = scores(seed)
    cascade = Cascade((1, 2, 0), threshold)
    assert np.allclose(run(log_probs, labels, cascade, MACS, method),
                       one_at_a_time(log_probs, labels, cascade, method))


@given(st.integers(0, 10_000), st.sampled_from(["geometric", "arithmetic"]))
def test_design_is_never_less_accurate_on_validation_nor_dearer_than_the_ensemble(seed: int, method: str) -> None:
    log_probs, labels = scores(seed)
    cascade = design(log_probs, labels, (0, 1, 2), MACS, method)
    reached, cost = run(log_probs, labels, cascade, MACS, method)
    assert reached >= accuracy(combine(log_probs, method), labels)
    assert cost <= sum(MACS)


def test_design_asks_the_cheapest_first_and_stops_when_the_first_is_as_good() -> None:
    labels = np.array([0, 1, 0, 1])
    sure = log_softmax(np.array([[9.0, 0], [0, 9], [9, 0], [0, 9]]))
    cascade = design(np.array([sure, sure, sure]), labels, (0, 1, 2), MACS, "geometric")
    assert cascade.order == (1, 2, 0)
    assert run(np.array([sure, sure, sure]), labels, cascade, MACS, "geometric") == (1.0, 10.0)


def test_nobody_stops_early_where_that_would_cost_accuracy() -> None:
    labels = np.array([0, 0])
    wrong_and_sure = log_softmax(np.array([[0.0, 9], [0, 9]]))
    right_and_surer = log_softmax(np.array([[30.0, 0], [30, 0]]))
    both = np.array([right_and_surer, wrong_and_sure])
    cascade = design(both, labels, (0, 1), [20, 10], "geometric")
    assert cascade.threshold >= 1
    assert run(both, labels, cascade, [20, 10], "geometric") == (1.0, 30.0)
