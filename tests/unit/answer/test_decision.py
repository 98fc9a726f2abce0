"""From candidates to choices.json: budgets, notes, gains, the file and the evidence beside it."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget_worlds import world
from consort.answer import stored
from consort.answer.budgets import default_budgets
from consort.answer.choices import Choices, Confidence, Confidences, from_json
from consort.answer.decision import choices, decide
from consort.answer.evidence import Evidence, evidence_of
from consort.answer.gains import Paired, gain, paired
from consort.answer.metric import NAMES
from consort.answer.undertrained import still_improving
from consort.ensembles.intervals import ONE_SEED, Seeds, pooled_seed_variance
from consort.errors import InputError, IntegrityError
from consort.members.history import Epoch
from consort.store import open_store
from consort.study.answer import Answer
from hand_candidates import about, candidate, costs, empty, evidence, judged, right

SMALL = candidate(0, "1 x a", 0.80, cost=costs(10e6, ms=1.0))
LARGE = candidate(1, "1 x b", 0.70, cost=costs(40e6, ms=1.5))
THREE = candidate(2, "3 x a", 0.90, cost=costs(30e6, ms=3.0))
CANDIDATES = [SMALL, LARGE, THREE]
SEEN = evidence([right(500, 0.80), right(500, 0.70), right(500, 0.90)],
                [right(1000, 0.79), right(1000, 0.71), right(1000, 0.88)])


def test_by_default_it_answers_at_the_costs_of_the_singles_at_round_figures_between_and_without_bound():
    assert default_budgets(CANDIDATES) == [{"macs": 40e6}, {"macs": 20e6}, {"macs": 10e6}, {"serial_ms": 1.5},
                                           {"serial_ms": 1.0}, {}]
    assert default_budgets([dataclasses.replace(SMALL, costs=costs(10e6))]) == [{"macs": 10e6}, {}]
    many = [dataclasses.replace(SMALL, costs=costs(1e6 * 1.3**i)) for i in range(40)]
    found = default_budgets(many)
    assert len(found) == 15 and found[0]["macs"] == many[-1].costs.macs and found[-2]["macs"] == 1e6


def test_the_headline_is_at_the_cost_of_the_dearest_single_and_what_changes_nothing_is_left_out():
    found = choices(about(), CANDIDATES, SEEN)
    assert [(c.budget, c.candidate) for c in found.choices] == [
        ({"macs": 40e6}, "c2"), ({"macs": 20e6}, "c0"), ({"serial_ms": 1.5}, "c0"), ({}, "c2")]
    head = found.headline
    assert (head.best, head.partner, head.alternative) == ("c2", "c0", "c0")
    assert head.gain is not None and head.gain.value == pytest.approx(0.09) and head.gain.resolved
    assert (head.gain.anew, head.gain.anew_unknown) == (None, ONE_SEED)
    assert head.text.startswith("Within 40 M MACs: three a (50.0 %). The best single network that fits, one a, has")


def test_a_large_network_below_a_smaller_one_is_said():
    assert choices(about(), CANDIDATES, SEEN).notes == (
        "b is below the smaller a on validation (70.0 against 80.0 %): it may be undertrained. Train it longer before "
        "concluding that large networks lose.",)
    close = evidence([right(500, 0.80), right(500, 0.795), right(500, 0.90)], SEEN.test)
    assert choices(about(), CANDIDATES, close).notes == ()


def test_the_budgets_of_the_study_are_answered_in_its_order_and_one_that_nothing_fits_is_a_note():
    asked = Answer(budgets=[{"ms": 1.2}, {"macs": "1M"}, {"macs": 30_000_000}])
    found = choices(about(asked), CANDIDATES, SEEN)
    assert [c.budget for c in found.choices] == [{"serial_ms": 1.2}, {"macs": 30e6}]
    assert found.notes[-1] == ("Within 1 M MACs nothing fits: what costs least takes 10 M MACs. Allow more, or train "
                               "smaller networks.")


def test_a_budget_that_nothing_fits_says_what_the_cheapest_takes():
    found = choices(about(), CANDIDATES, SEEN)
    with pytest.raises(InputError, match=r"Within 0\.5 ms nothing fits: what costs least takes 1 ms"):
        decide(found, SEEN, {"serial_ms": 0.5})
    unknown = [dataclasses.replace(SMALL, costs=costs(10e6))]
    with pytest.raises(InputError, match="this cost is not known of any candidate"):
        decide(dataclasses.replace(found, candidates=tuple(unknown)), evidence(SEEN.val[:1], SEEN.test[:1]),
               {"serial_ms": 5.0})


def test_the_majority_class_is_compared_image_by_image():
    seen = Evidence(SEEN.val, SEEN.test, SEEN.test[2].copy())
    found = choices(about(majority=0.88), CANDIDATES, seen)
    assert found.headline.versus_majority.value == 0
    assert found.notes[0] == 'Not better than always answering "cat": that alone has 88.0 % on test.'


def test_the_file_is_read_back_as_it_was():
    seeds = pooled_seed_variance(np.array([right(1000, 0.8), right(1000, 0.79)]), ["a", "a"])
    for found in (choices(about(), CANDIDATES, SEEN),
                  choices(dataclasses.replace(about(Answer(margin=0.02)), seeds=seeds, promises_share=3,
                                              confidences=Confidences("3 x a", 9, (Confidence("margin", 0.9, 0.8),))),
                          CANDIDATES, SEEN)):
        assert from_json(found.to_json(), "choices.json") == found
        with_more = {**json.loads(found.to_json()), "of_a_later_version": 1}
        assert from_json(json.dumps(with_more).encode(), "choices.json") == found
    assert found.headline.gain is not None and found.headline.gain.anew is not None
    earlier = {name: value for name, value in with_more.items() if name not in ("promises_share", "confidences")}
    read = from_json(json.dumps(earlier).encode(), "choices.json")
    assert read == dataclasses.replace(found, promises_share=1, confidences=None)


def test_choices_from_before_there_were_several_metrics_are_by_accuracy():
    found = choices(about(), CANDIDATES, SEEN)
    before = json.loads(found.to_json())
    del before["majority"]["test_value"]
    for one in before["candidates"]:
        del one["val"]["value"], one["test"]["value"], one["test"]["value_low"], one["test"]["value_high"]
    assert from_json(json.dumps(before).encode(), "choices.json") == found


@pytest.mark.parametrize("metric", NAMES)
def test_evidence_of_every_metric_gives_the_same_choice_when_it_is_read_back(metric):
    found, seen = world(4, metric=metric)
    again = evidence_of(seen.to_bytes(), "evidence.npz")
    assert again.val.dtype == seen.val.dtype and again.one_image == seen.one_image
    assert decide(found, again, {"macs": 3e6}) == decide(found, seen, {"macs": 3e6})


def test_evidence_from_before_there_were_several_metrics_is_read():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.array([500, 1000]), val=np.packbits(SEEN.val, axis=1),
                        test=np.packbits(SEEN.test, axis=1), majority=np.packbits(SEEN.majority))
    again = evidence_of(buffer.getvalue(), "evidence.npz")
    assert np.array_equal(again.test, SEEN.test) and again.one_image == (1.0, 1.0)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}'])
def test_what_is_no_list_of_choices_is_named(content):
    with pytest.raises(IntegrityError, match=r"studies/a/b/choices\.json is not a readable list of choices"):
        from_json(content, "studies/a/b/choices.json")


@given(st.integers(1, 6), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_evidence_is_read_back_as_it_was(num, num_val, num_test, seed):
    rng = np.random.default_rng(seed)
    seen = Evidence(rng.random((num, num_val)) < 0.5, rng.random((num, num_test)) < 0.5, rng.random(num_test) < 0.5)
    again = evidence_of(seen.to_bytes(), "evidence.npz")
    assert all(np.array_equal(getattr(seen, name), getattr(again, name)) for name in ("val", "test", "majority"))


def test_evidence_that_is_none_is_named():
    with pytest.raises(IntegrityError, match=r"evidence\.npz is not readable"):
        evidence_of(b"no zip", "evidence.npz")


@given(st.data())
def test_evidence_that_was_damaged_is_named_or_still_reads(data):
    whole = Evidence(np.ones((2, 40), bool), np.zeros((2, 30), bool), np.ones(30, bool)).to_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(st.sampled_from([whole[:place], whole[:place] + b"\xff" + whole[place + 1:]]))
    with contextlib.suppress(IntegrityError):
        evidence_of(damaged, "evidence.npz")


def test_the_store_has_both_or_neither(tmp_path):
    store = open_store(str(tmp_path))
    assert stored.read(store, "owls", "r1") is None
    found = choices(about(), CANDIDATES, SEEN)
    stored.write(store, found, SEEN)
    known = stored.read(store, "owls", "r1")
    assert known is not None and known[0] == found and isinstance(known[0], Choices)
    assert np.array_equal(known[1].val, SEEN.val)
    assert decide(known[0], known[1], {"macs": 40e6}) == found.headline


def paired_of(one: np.ndarray, other: np.ndarray) -> Paired:
    rows = np.array([one, other])
    return paired(Evidence(rows, rows, other), 0, 1)


def test_equal_predictions_do_not_differ_by_exactly_nothing():
    same = paired_of(right(1000, 0.9), right(1000, 0.9)).gain(0.95)
    assert same.value == 0 and not same.resolved
    assert -0.004 < same.low < -0.002 and 0.002 < same.high < 0.004  # about 3 / images


def test_the_interval_is_that_of_the_paired_bootstrap():
    rng = np.random.default_rng(1)
    one, other = rng.random(2000) < 0.8, rng.random(2000) < 0.75
    found = paired_of(one, other).gain(0.95)
    drawn = [(one[i].mean() - other[i].mean()) for i in rng.integers(2000, size=(3000, 2000))]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.004)


def test_the_interval_of_an_nll_is_that_of_the_paired_bootstrap_and_a_gain_is_what_is_lower():
    rng = np.random.default_rng(2)
    other = -rng.exponential(0.5, 1500).astype(np.float32)
    one = (0.9 * other - rng.normal(0, 0.1, 1500)).astype(np.float32)
    rows = np.array([one, other])
    apart = paired(Evidence(rows, rows, other), 0, 1)
    found, value = apart.gain(0.95), one.astype(float) - other
    drawn = [value[i].mean() for i in rng.integers(1500, size=(3000, 1500))]
    assert found.value == pytest.approx(0.05, abs=0.02) and found.resolved
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.001)
    majority = paired(Evidence(rows, rows, other), 0, None)
    assert np.array_equal(majority.resampled, apart.resampled)


@pytest.mark.parametrize("images,wider", [(60, True), (20_000, False)])
def test_of_few_images_an_interval_in_nats_allows_for_some_that_were_not_among_them(images, wider):
    """The bootstrap knows of no larger differences than those of these images."""
    rows = -np.random.default_rng(3).exponential(0.05, (2, images)).astype(np.float32)
    apart = paired(Evidence(rows, rows, rows[0]), 0, 1)
    found, drawn = apart.gain(0.95), np.quantile(apart.resampled, [0.025, 0.975])
    assert found.low <= drawn[0] and found.high >= drawn[1]
    assert (found.high - found.low > 1.2 * (drawn[1] - drawn[0])) == wider
    of_bits = paired_of(right(images, 0.9), right(images, 0.8))
    assert of_bits.gain(0.95).low == pytest.approx(np.quantile(of_bits.resampled, 0.025))


def test_equal_nlls_do_not_differ_by_exactly_nothing():
    rows = np.repeat(-np.random.default_rng(0).exponential(1, (1, 1000)).astype(np.float32), 7, axis=0)
    same = paired(Evidence(rows, rows, rows[0]), 1, 6).gain(0.95)
    assert (same.value, same.resolved) == (0, False)
    assert (same.low, same.high) == pytest.approx((-0.003, 0.003), rel=0.01)


def test_of_nlls_trained_again_an_interval_as_wide_as_what_guessing_loses_is_unknown():
    """log 3 = 1.10 of three classes: 2.78 standard errors are 1.05 and 1.18 nats here."""
    found, seen = world(1, metric="nll")
    for lasting, known in ((0.0954, True), (0.12, False)):
        seeds = Seeds(dict.fromkeys("abc", lasting), lasting, lasting, 4)
        over = decide(dataclasses.replace(found, seeds=seeds), seen, {"macs": 4e6}).gain
        assert over is not None and (over.anew is not None) == known
        if over.anew is None:
            assert over.anew_unknown == "unknown from so few seeds, train more of b"
        else:
            assert over.anew_unknown is None and 1 < over.anew.high < np.log(3)


def test_trained_again_is_wider_where_seeds_differ_and_a_margin_needs_few_images_that_differ():
    apart = paired_of(right(4000, 0.9), right(4000, 0.895))
    members = np.array([right(4000, share) for share in (0.86, 0.9, 0.94)])
    seeds = pooled_seed_variance(members, ["a", "a", "a"])
    about = dataclasses.replace(empty([]), seeds=seeds)
    found = gain(THREE, SMALL, apart, dataclasses.replace(about, margin=0.01))
    assert found.anew is not None and found.anew.high - found.anew.low > 3 * (found.high - found.low)
    assert (found.as_good, found.not_worse, found.resolved, found.anew.resolved) == (True, True, True, False)
    assert gain(THREE, SMALL, apart, about).as_good is None


def test_a_large_network_with_a_higher_nll_than_a_smaller_one_is_said():
    rows = np.array([np.full(500, -0.3), np.full(500, -0.6)]) + np.tile([0.1, -0.1], 250)
    found = choices(about(Answer(metric="nll")), [judged(one, "nll", row, row) for one, row in zip(
        (SMALL, LARGE), rows, strict=True)], Evidence(rows, rows, np.full(500, -1.1)))
    assert found.notes == ("b is worse than the smaller a on validation (NLL 0.60 against 0.30 nats): it may be "
                           "undertrained. Train it longer before concluding that large networks lose.",)


def test_as_good_and_not_worse_are_two_one_sided_tests_at_5_percent():
    """Of 90 % intervals, not of 95 %: margins between the two ends tell them apart."""
    one, other = right(4000, 0.9), right(4000, 0.9, of=150)
    apart = paired_of(one, other)
    narrow, wide = apart.gain(0.9), apart.gain(0.95)
    assert narrow.low < 0 < narrow.high
    between = (max(narrow.high, -narrow.low) + min(wide.high, -wide.low)) / 2
    inside = gain(THREE, SMALL, apart, empty([], margin=between))
    assert (inside.as_good, inside.not_worse) == (True, True)
    outside = gain(THREE, SMALL, apart, empty([], margin=0.9 * narrow.high))
    assert (outside.as_good, outside.not_worse) == (False, False)
    ahead = gain(THREE, SMALL, paired_of(one, right(4000, 0.85)), empty([], margin=0.01))
    assert (ahead.as_good, ahead.not_worse) == (False, True)


def epochs(losses: list[float], accuracies: list[float | None]) -> list[Epoch]:
    return [Epoch(i, 10 * i, loss, 0.1, accuracy) for i, (loss, accuracy) in
            enumerate(zip(losses, accuracies, strict=True), 1)]


@pytest.mark.parametrize("losses,accuracies,improving", [
    ([2.0, 1.5], [None, 0.5], True), ([2.0, 1.95], [None, 0.5], False), ([2.0], [0.5], False), ([], [], False),
    ([2.0, 1.5, 1.2], [0.5, 0.6, 0.7], True), ([2.0, 1.5, 1.2], [0.6, 0.695, 0.7], False),
    ([2.0, 1.5, 1.2], [0.5, 0.7, 0.6], False)])
def test_a_training_that_ended_while_it_improved_is_known_by_its_history(losses, accuracies, improving):
    assert still_improving(epochs(losses, accuracies), 1000) == improving


def test_architectures_that_still_improved_are_named():
    close = evidence([right(500, 0.80), right(500, 0.795), right(500, 0.90)], SEEN.test)
    found = choices(dataclasses.replace(about(), improving=("a", "b")), CANDIDATES, close)
    assert found.notes == ("a, b were still improving when training ended: they may be undertrained.",)
