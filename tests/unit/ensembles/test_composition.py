"""Compositions and subsets against enumeration, and the fast scorer against a loop over ensembles."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.ensembles.composition import (
    Composition,
    all_subsets,
    combine,
    compositions,
    log_softmax,
    num_subsets,
    subsets_of,
)
from consort.ensembles.metrics import correct, nll
from consort.ensembles.subset_scores import score_subsets

METHODS = ("geometric", "arithmetic")

untimed = settings(deadline=None)
"""The first example pays for imports, and other processes may have the cores."""


def random_log_probs(seed: int, members: int, images: int, classes: int, spread: float) -> tuple:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=images)
    shared = rng.standard_normal((images, classes)) + np.eye(classes)[labels]
    logits = spread * (shared + rng.standard_normal((members, images, classes)))
    return log_softmax(logits.astype(np.float32)), labels


def test_geometric_is_the_renormalised_geometric_mean_of_probabilities():
    log_probs, _ = random_log_probs(0, 3, 50, 5, 2.0)
    mean = np.exp(log_probs.astype(np.float64)).prod(axis=0) ** (1 / 3)
    np.testing.assert_allclose(np.exp(combine(log_probs, "geometric")), mean / mean.sum(axis=1, keepdims=True), 1e-5)


def test_geometric_is_the_softmax_of_mean_logits():
    logits = np.random.default_rng(0).standard_normal((4, 20, 6)) * 3
    np.testing.assert_allclose(combine(log_softmax(logits), "geometric"), log_softmax(logits.mean(axis=0)), atol=1e-12)


def test_arithmetic_is_the_mean_of_probabilities():
    log_probs, _ = random_log_probs(0, 3, 50, 5, 2.0)
    np.testing.assert_allclose(np.exp(combine(log_probs, "arithmetic")), np.exp(log_probs).mean(axis=0), 1e-5)


def test_arithmetic_survives_probabilities_below_the_float32_range():
    log_probs = np.array([[[0.0, -500.0]], [[0.0, -502.0]]], dtype=np.float32)
    expected = -500 + math.log((1 + math.exp(-2)) / 2)
    assert combine(log_probs, "arithmetic")[0, 1] == pytest.approx(expected, rel=1e-6)


def test_unknown_method_is_refused_naming_it():
    with pytest.raises(ValueError, match="'harmonic'"):
        combine(np.zeros((1, 1, 2)), "harmonic")
    with pytest.raises(ValueError, match="'harmonic'"):
        score_subsets(np.zeros((1, 1, 2), np.float32), np.zeros(1, np.int64), [(0,)], "harmonic")


def test_log_softmax_is_normalised_and_does_not_overflow():
    log_probs = log_softmax(np.array([[1e30, 0.0, -1e30], [1.0, 1.0, 1.0]], dtype=np.float32))
    assert log_probs.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-6)


def test_compositions_are_uniform_then_mixed_with_labels_in_the_given_order():
    labels = [c.label for c in compositions({"b": 2, "a": 1}, mixed_members=3)]
    assert labels == ["1 x b", "2 x b", "1 x a", "1 x b + 1 x a", "2 x b + 1 x a"]
    assert [c.kind for c in compositions({"b": 2, "a": 1}, 2)] == ["single", "uniform", "single", "mixed"]


@untimed
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 5))
def test_compositions_equal_all_counts_that_fit(numbers, mixed_members):
    available = {f"net-{i}": number for i, number in enumerate(numbers)}
    expected = set()
    for counts in product(*(range(number + 1) for number in numbers)):
        used = sum(count > 0 for count in counts)
        if used == 1 or (used > 1 and sum(counts) <= mixed_members):
            expected.add(tuple((f"net-{i}", count) for i, count in enumerate(counts) if count))
    found = [composition.parts for composition in compositions(available, mixed_members)]
    assert len(found) == len(expected)
    assert set(found) == expected


@untimed
@given(st.integers(1, 6), st.integers(0, 4), st.integers(1, 40), st.data())
def test_subsets_are_distinct_fit_the_composition_and_are_all_or_as_many_as_the_limit(first, second, limit, data):
    numbers = data.draw(st.permutations(range(first + second)))
    members = {"a": sorted(numbers[:first]), "b": sorted(numbers[first:])}
    parts = [("a", data.draw(st.integers(1, first)))]
    if second:
        parts.append(("b", data.draw(st.integers(1, second))))
    composition = Composition(tuple(parts))
    expected = {tuple(sorted(a + b)) for a in combinations(members["a"], parts[0][1])
                for b in combinations(members["b"], parts[1][1] if second else 0)}
    found = subsets_of(composition, members, limit)
    assert len(set(found)) == len(found) == min(limit, len(expected))
    assert set(found) <= expected
    assert found == subsets_of(composition, members, limit)
    assert num_subsets(composition, {"a": first, "b": second}) == len(expected)


def test_a_sample_of_subsets_is_spread_evenly():
    members = {"a": range(20)}
    found = subsets_of(Composition((("a", 3),)), members, 500)
    uses = np.bincount(np.ravel(found), minlength=20)
    assert uses.min() > 45  # 75 expected each, standard deviation 8
    assert uses.max() < 105


def test_all_subsets_of_40_up_to_4():
    assert len(all_subsets(40, 4)) == 102_090
    assert all_subsets(3, 2) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]


def check_against_loop(log_probs, labels, subsets, method, **options):
    """Accuracy must lie between the counts with a margin of rounding; NLL must agree."""
    scores = score_subsets(log_probs, labels, subsets, method, **options)
    images = np.arange(len(labels))
    for subset, accuracy, loss in zip(subsets, scores.accuracy, scores.nll, strict=True):
        combined = combine(log_probs[list(subset)].astype(np.float64), method)
        assert loss == pytest.approx(nll(combined, labels), rel=2e-6, abs=2e-6)
        others = combined.copy()
        others[images, labels] = -np.inf
        margin = combined[images, labels] - others.max(axis=1)
        assert (margin > 1e-4).mean() - 1e-9 <= accuracy <= (margin > -1e-4).mean() + 1e-9
    return scores


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 300), st.integers(2, 6),
       st.sampled_from([0.3, 2.0, 8.0, 60.0]), st.sampled_from(METHODS))
def test_fast_scores_equal_a_loop_over_all_ensembles(seed, members, images, classes, spread, method):
    log_probs, labels = random_log_probs(seed, members, images, classes, spread)
    check_against_loop(log_probs, labels, all_subsets(members, 4), method)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(METHODS), st.data())
def test_fast_scores_equal_a_loop_over_any_subsets_in_any_order(seed, method, data):
    log_probs, labels = random_log_probs(seed, 7, 90, 4, 2.0)
    subsets = data.draw(st.lists(st.sampled_from(all_subsets(7, 7)), min_size=1, max_size=30, unique=True))
    groups = data.draw(st.lists(st.integers(0, 3), min_size=len(subsets), max_size=len(subsets)))
    scores = check_against_loop(log_probs, labels, subsets, method, groups=groups, threads=1)
    for group, counts in enumerate(scores.correct):
        of_group = scores.accuracy[np.array(groups) == group]
        assert counts.sum() == pytest.approx(len(labels) * of_group.sum())
    for group in set(groups):
        if groups.count(group) == 1:
            alone = subsets[groups.index(group)]
            combined = combine(log_probs[list(alone)].astype(np.float64), method)
            clear = np.sort(combined, axis=1)[:, -1] - np.sort(combined, axis=1)[:, -2] > 1e-4
            expected = (combined.argmax(axis=1) == labels)[clear]
            assert scores.correct[group][clear].tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_confident_members_that_contradict_each_other_do_not_underflow(method):
    # 200 and 100 are far outside what products of float32 probabilities can hold.
    logits = np.zeros((2, 3, 3), dtype=np.float32)
    logits[0, :, 0], logits[1, :, 1] = 200, 100
    labels = np.array([0, 1, 2])
    log_probs = log_softmax(logits)
    scores = check_against_loop(log_probs, labels, [(0,), (1,), (0, 1)], method)
    assert scores.nll[0] == pytest.approx((0 + 200 + 200) / 3, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_tie_is_not_correct(method):
    log_probs = np.broadcast_to(np.log(np.array([[[0.4, 0.4, 0.2]]], dtype=np.float32)), (3, 5, 3))
    scores = score_subsets(log_probs, np.zeros(5, dtype=np.int64), all_subsets(3, 3), method)
    assert scores.accuracy.tolist() == [0] * 7


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [0.3, 4.0, 11.7, 90.0])
def test_two_members_that_contradict_each_other_equally_decide_nothing(method, strength):
    logits = np.zeros((2, 6, 3), dtype=np.float32)
    logits[0, :, 0] = logits[1, :, 1] = strength
    scores = score_subsets(log_softmax(logits), np.array([0, 1, 2] * 2), all_subsets(2, 2), method)
    assert scores.accuracy.tolist() == pytest.approx([1 / 3, 1 / 3, 0])


def certain_members(seed: int, gap: float, images: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Two members that are right on 9 images of 10 each, and by `gap` sure of the class they name, right or wrong;
    a little surer where they are right. Scores float64, labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(10, size=images)
    scores = rng.standard_normal((2, images, 10))
    for member in scores:
        wrong = rng.random(images) > 0.9
        member[np.arange(images), (labels + wrong * rng.integers(1, 10, images)) % 10] += gap + ~wrong
    return scores, labels


@pytest.mark.parametrize("gap", [6.0, 10.0, 14.0, 20.0, 25.0])
def test_of_members_that_are_nearly_certain_of_different_classes_the_surer_one_wins(gap):
    """In float32 both are certain, so they tie: 81 % for what has 95 %, at a gap of 20."""
    scores, labels = certain_members(0, gap)
    exact = np.exp(log_softmax(scores)).mean(axis=0)
    expected = (exact.argmax(axis=1) == labels).mean()
    log_probs = log_softmax(scores.astype(np.float32))
    assert expected == pytest.approx(0.95, abs=0.01)
    assert score_subsets(log_probs, labels, [(0, 1)], "arithmetic").accuracy[0] == pytest.approx(expected, abs=1e-12)
    assert correct(combine(log_probs, "arithmetic"), labels).mean() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 1000), st.sampled_from(
    [("geometric", spread) for spread in (1e-4, 0.01, 1)] +
    [("arithmetic", spread) for spread in (1e-4, 0.01, 1, 4)]))
def test_ties_are_the_same_for_ensembles_at_once_and_one_by_one(seed, classes, case):
    """Whole-numbered scores, so that ties abound, also among a thousand nearly equal classes."""
    method, spread = case
    rng = np.random.default_rng(seed)
    log_probs = log_softmax((spread * rng.integers(-1, 3, size=(3, 60, classes))).astype(np.float32))
    labels = rng.integers(classes, size=60)
    subsets = all_subsets(3, 3)
    scores = score_subsets(log_probs, labels, subsets, method, groups=range(len(subsets)))
    for subset, right in zip(subsets, scores.correct, strict=True):
        assert right.tolist() == correct(combine(log_probs[list(subset)], method), labels).astype(int).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_scores_do_not_depend_on_threads_or_on_the_size_of_blocks(method):
    log_probs, labels = random_log_probs(3, 5, 5000, 3, 2.0)
    subsets = all_subsets(5, 3)
    one = score_subsets(log_probs, labels, subsets, method, threads=1)
    four = score_subsets(log_probs, labels, subsets, method, threads=4)
    np.testing.assert_array_equal(one.accuracy, four.accuracy)
    np.testing.assert_array_equal(one.nll, four.nll)
    halves = [score_subsets(log_probs[:, part], labels[part], subsets, method)
              for part in (slice(0, 2500), slice(2500, 5000))]
    np.testing.assert_allclose(one.accuracy, np.mean([half.accuracy for half in halves], axis=0), atol=1e-12)
    np.testing.assert_allclose(one.nll, np.mean([half.nll for half in halves], axis=0), rtol=1e-6)
