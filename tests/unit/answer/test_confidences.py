"""The ways to be sure, each against the cascades that it is a mean of."""

import numpy as np
import pytest

from consort.answer.confidences import BOUNDS, compare, measure
from consort.ensembles.cascades import CONFIDENCES, curve, run
from consort.ensembles.composition import log_softmax

MACS = [1.0, 2.0, 4.0, 9.0]
SUBSET = (0, 1, 2)


def images(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Four members that are sure of what they are right about, the dearer ones more often."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=number)
    scores = rng.standard_normal((4, number, 4)) * 1.2
    scores[:, np.arange(number), labels] += np.array([1.0, 1.3, 1.6, 2.0])[:, None]
    return log_softmax(2 * scores).astype(np.float32), labels


def test_within_every_bound_it_is_the_best_cascade_on_validation_or_the_cheapest_alone():
    log_probs, labels = images(0, 500)
    compared = compare("a + b + c", SUBSET, log_probs, labels, MACS, "geometric")
    bounds = np.linspace(1.0, 7.0, BOUNDS + 2)[1:-1]
    assert set(compared.best) == set(CONFIDENCES)
    for confidence, points in compared.best.items():
        known = curve(log_probs, labels, SUBSET, MACS, "geometric", confidences=(confidence,), most=500)
        for bound, point in zip(bounds, points, strict=True):
            accuracy, cost = run(log_probs, labels, point.cascade, MACS)
            assert (point.accuracy, point.cost) == (pytest.approx(accuracy), pytest.approx(cost)) and cost <= bound
            assert point.cascade.confidence == confidence
            assert all(point.accuracy >= other.accuracy for other in known if other.cost <= bound)
        accuracies = [point.accuracy for point in points]
        assert accuracies == sorted(accuracies) and accuracies[-1] > accuracies[0]


def test_test_images_change_nothing_but_their_own_accuracy():
    log_probs, labels = images(0, 500)
    compared = compare("a + b + c", SUBSET, log_probs, labels, MACS, "geometric")
    others, their_labels = images(1, 700)
    found = measure(compared, others, their_labels)
    assert (found.ensemble, found.bounds, {one.name for one in found.each}) == ("a + b + c", BOUNDS, set(CONFIDENCES))
    for one in found.each:
        points = compared.best[one.name]
        assert one.val_accuracy == pytest.approx(np.mean([point.accuracy for point in points]))
        assert one.test_accuracy == pytest.approx(np.mean(
            [run(others, their_labels, point.cascade, MACS)[0] for point in points]))
    assert [one.val_accuracy for one in found.each] == sorted((one.val_accuracy for one in found.each), reverse=True)


def test_two_members_never_agree_early():
    log_probs, labels = images(2, 300)
    points = compare("a + b", (0, 1), log_probs, labels, MACS, "arithmetic").best["agreement"]
    alone, = {(point.accuracy, point.cost) for point in points}
    assert alone == (pytest.approx((log_probs[0].argmax(axis=1) == labels).mean()), 1.0)
