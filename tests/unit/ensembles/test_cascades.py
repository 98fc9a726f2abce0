"""Cascades against a loop that asks the members one image at a time."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.ensembles import cascades
from consort.ensembles.cascades import CONFIDENCES, Cascade, asked, at_threshold, curve, design, run, spent
from consort.ensembles.composition import combine, log_softmax
from consort.ensembles.metrics import accuracy

MACS = [30, 10, 20]
untimed = settings(deadline=None, max_examples=40)


def scores(seed: int, members: int = 3, images: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    logits = random.normal(0, 2, (members, images, classes))
    logits[:, np.arange(images), labels] += 1.5
    return log_softmax(logits), labels


def how_sure(answer: np.ndarray, votes: list[int], confidence: str) -> float:
    """The definitions, for one image."""
    probs = sorted(np.exp(answer), reverse=True)
    return {"probability": probs[0], "margin": probs[0] - probs[1], "entropy": sum(p * np.log(p) for p in probs),
            "agreement": sum(vote == answer.argmax() for vote in votes) / len(votes)}[confidence]


def one_at_a_time(log_probs: np.ndarray, cascade: Cascade) -> tuple[list[int], np.ndarray]:
    """The definition: ask, combine, stop when confident. How many were asked of each image, and the answers."""
    numbers, answers = [], []
    for image in range(log_probs.shape[1]):
        for stage in range(len(cascade.order)):
            so_far = log_probs[list(cascade.order[:stage + 1]), image]
            combined = combine(so_far[:, None], cascade.combine)[0]
            answer = log_softmax(combined / cascade.temperatures[stage])
            last = stage == len(cascade.order) - 1
            votes = [int(one.argmax()) for one in so_far]
            if last or how_sure(answer, votes, cascade.confidence) >= cascade.thresholds[stage]:
                numbers.append(stage + 1)
                answers.append(answer)
                break
    return numbers, np.array(answers)


@untimed
@given(st.integers(0, 10_000), st.sampled_from(CONFIDENCES), st.sampled_from(["geometric", "arithmetic"]),
       st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)), st.tuples(*[st.floats(0.5, 2)] * 3))
def test_asked_and_answer_equal_asking_one_image_at_a_time(seed, confidence, method, levels, temperatures):
    log_probs, labels = scores(seed)
    thresholds = levels if confidence != "entropy" else tuple(-2 * level for level in levels)
    cascade = Cascade((1, 2, 0), method, confidence, thresholds, temperatures)
    numbers, answers = one_at_a_time(log_probs, cascade)
    assert asked(log_probs, cascade).tolist() == numbers
    given, number = cascades.answered(log_probs, cascade)
    np.testing.assert_allclose(given, answers, atol=1e-9)
    assert number.tolist() == numbers and np.array_equal(cascades.answer(log_probs, cascade), given)
    costs = [sum(MACS[member] for member in cascade.order[:number]) for number in numbers]
    assert spent(asked(log_probs, cascade), cascade, MACS).tolist() == costs
    assert run(log_probs, labels, cascade, MACS) == pytest.approx((accuracy(answers, labels), np.mean(costs)))


@pytest.mark.parametrize("wrong", [
    {"order": (1,)}, {"thresholds": (0.5,)}, {"temperatures": (1.0, 1.0)}, {"confidence": "energy"}])
def test_a_cascade_that_does_not_fit_together_is_refused(wrong):
    right = Cascade((1, 2, 0), "geometric", "margin", (0.5, 0.5), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"a cascade has|confidence is one of"):
        replace(right, **wrong)


@given(st.integers(0, 10_000), st.sampled_from(["geometric", "arithmetic"]))
def test_design_is_never_less_accurate_on_validation_nor_dearer_than_the_ensemble(seed: int, method: str) -> None:
    log_probs, labels = scores(seed)
    cascade = design(log_probs, labels, (0, 1, 2), MACS, method)
    reached, cost = run(log_probs, labels, cascade, MACS)
    assert reached >= accuracy(combine(log_probs, method), labels)
    assert cost <= sum(MACS)


def test_design_asks_the_cheapest_first_and_stops_when_the_first_is_as_good() -> None:
    labels = np.array([0, 1, 0, 1])
    sure = log_softmax(np.array([[9.0, 0], [0, 9], [9, 0], [0, 9]]))
    cascade = design(np.array([sure, sure, sure]), labels, (0, 1, 2), MACS, "geometric")
    assert cascade.order == (1, 2, 0)
    assert run(np.array([sure, sure, sure]), labels, cascade, MACS) == (1.0, 10.0)


def test_nobody_stops_early_where_that_would_cost_accuracy() -> None:
    labels = np.array([0, 0])
    wrong_and_sure = log_softmax(np.array([[0.0, 9], [0, 9]]))
    right_and_surer = log_softmax(np.array([[30.0, 0], [30, 0]]))
    both = np.array([right_and_surer, wrong_and_sure])
    cascade = design(both, labels, (0, 1), [20, 10], "geometric")
    assert cascade.thresholds[0] >= 1
    assert run(both, labels, cascade, [20, 10]) == (1.0, 30.0)


def test_orders_are_by_cost_and_by_accuracy():
    labels = np.zeros(4, dtype=np.int64)
    logits = np.array([[[1.0, 0]] * 3 + [[0, 1]], [[1.0, 0]] * 2 + [[0, 1]] * 2, [[1.0, 0]] * 4])
    assert cascades.orders(log_softmax(logits), labels, (0, 1, 2), [30, 10, 20]) == [(1, 2, 0), (2, 0, 1)]
    assert cascades.orders(log_softmax(logits), labels, (0, 2), [5, 9, 4]) == [(2, 0)]


@untimed
@given(st.integers(0, 10_000))
def test_a_curve_is_a_front_of_what_its_cascades_give_on_the_same_images(seed):
    log_probs, labels = scores(seed, images=60)
    points = curve(log_probs, labels, (0, 1, 2), MACS, "geometric", most=8)
    assert len(points) <= 8
    for point in points:
        assert run(log_probs, labels, point.cascade, MACS) == pytest.approx((point.accuracy, point.cost))
        assert 10 < point.cost < 60
    assert all(a.cost < b.cost and a.accuracy < b.accuracy for a, b in pairwise(points))


def test_a_curve_has_a_threshold_per_stage_where_one_for_all_would_not_do():
    """The first member is never to be trusted, the second always, and the first is the surer one."""
    labels = np.zeros(200, dtype=np.int64)
    first = np.tile([0.0, 8.0, 0.0], (200, 1))
    first[::2] = [0.0, 0.0, 8.0]
    second = np.tile([12.0, 0.0, 0.0], (200, 1))
    third = np.tile([9.0, 0.0, 0.0], (200, 1))
    points = curve(log_softmax(np.array([first, second, third])), labels, (0, 1, 2), [1, 2, 3], "geometric",
                   confidences=["probability"])
    assert [(point.accuracy, point.cost) for point in points] == [(1.0, 3.0)]
    assert points[0].cascade.thresholds[0] > points[0].cascade.thresholds[1]


def test_no_curve_where_the_first_member_is_as_good_as_all():
    labels = np.array([0, 1] * 10)
    sure = log_softmax(9.0 * np.eye(2)[labels])
    assert curve(np.array([sure, sure]), labels, (0, 1), [1, 1], "geometric") == []


def paired(worse: int, better: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Two members, the second dear and decisive: so many images that only the whole ensemble gets right, and so many
    that only the first does. The first is equally sure of every image."""
    labels = np.zeros(images, dtype=np.int64)
    first, second = np.tile([3.0, 0], (images, 1)), np.tile([9.0, 0], (images, 1))
    first[:worse] = [0, 3.0]
    second[worse:worse + better] = [0, 9.0]
    return log_softmax(np.array([first, second])), labels


SURE = Cascade((0, 1), "geometric", "probability", (np.inf,), (1.0, 1.0))


@pytest.mark.parametrize("worse,better,images,kept", [
    (0, 0, 3000, True), (0, 0, 1000, False), (2, 0, 3000, False), (5, 5, 20_000, True), (40, 5, 10_000, False)])
def test_a_promise_is_given_where_the_images_bear_it(worse, better, images, kept):
    log_probs, labels = paired(worse, better, images)
    found = cascades.promised(log_probs, labels, SURE, 0.002)
    stops_early = found is not None and asked(log_probs, found).max() == 1
    assert stops_early == kept


def test_nothing_is_promised_on_few_images_and_less_when_many_cascades_share_the_error():
    log_probs, labels = paired(0, 0, 2500)
    assert cascades.promised(log_probs[:, :500], labels[:500], SURE, 0.002) is None
    assert cascades.promised(log_probs, labels, SURE, 0.002) is not None
    assert cascades.promised(log_probs, labels, SURE, 0.002, among=50) is None


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_a_promised_threshold_is_the_lowest_of_those_that_pass(confidence):
    log_probs, labels = scores(3, images=4000)
    base = replace(cascades.calibrated(log_probs, labels, (1, 2, 0), "geometric"), confidence=confidence)
    found = cascades.promised(log_probs, labels, base, 0.03)
    assert found is not None
    whole = accuracy(combine(log_probs[[1, 2, 0]], "geometric"), labels)
    assert run(log_probs, labels, found, MACS)[0] >= whole - 0.03
    generous = cascades.promised(log_probs, labels, base, 0.2)
    assert generous is not None and generous.thresholds[1] <= found.thresholds[1]
    assert at_threshold(base, found.thresholds[1]) == found
