"""The words of the answer, exactly."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.answer import sentences
from consort.answer.amounts import format_bytes, format_count, format_ms, format_round, format_share
from consort.answer.budgets import within_words
from consort.answer.choices import Anew, Candidate, Choice, Gain, Majority, Promise
from consort.answer.metric import size
from hand_candidates import candidate, costs, empty

SINGLE = candidate(0, "1 x wrn-16-2", 0.87, 0.869, costs(101_110_000.0))
TWO = candidate(1, "2 x wrn-16-1", 0.87, 0.868, costs(53_320_000.0))
CASCADE = candidate(2, "1 x A + 1 x B", 0.96, 0.961, costs(1_000_000.0, worst=2_300_000.0), thresholds=[0.84])
TIE, AHEAD, BEHIND = Gain(0.001, -0.004, 0.006, False), Gain(0.014, 0.002, 0.025, True), Gain(-0.02, -0.03, -0.01, True)
M100 = {"macs": 100_000_000.0}


def said(one: Candidate, other: Candidate | None, gain: Gain | None, budget=None, **about) -> str:
    return sentences.headline(M100 if budget is None else budget, one, other, gain, empty([], **about))


def test_a_single_that_an_ensemble_ties_with():
    assert said(SINGLE, TWO, TIE) == (
        "Within 100 M MACs: one wrn-16-2 (86.9 %). Two wrn-16-1 tie with it (too close to call on 10,000 images: -0.1 "
        "points [-0.6, +0.4]).")


def test_a_single_ahead_of_what_else_there_is_and_one_that_test_images_contradict():
    assert said(SINGLE, TWO, AHEAD).endswith("Two wrn-16-1 have 86.8 %: -1.4 points [-2.5, -0.2].")
    assert said(SINGLE, TWO, BEHIND).endswith("On the test images two wrn-16-1 are better: 86.8 %, +2.0 points [+1.0, "
                                              "+3.0]; the validation images did not show it.")
    assert said(SINGLE, None, None).endswith(": one wrn-16-2 (86.9 %). No ensemble or cascade that fits is better.")


def test_an_ensemble_against_the_best_single_that_fits():
    assert said(TWO, SINGLE, AHEAD) == ("Within 100 M MACs: two wrn-16-1 (86.8 %). The best single network that fits, "
                                        "one wrn-16-2, has 86.9 %: +1.4 points [+0.2, +2.5].")
    assert said(TWO, SINGLE, TIE).endswith("The best single network that fits, one wrn-16-2 (86.9 %), ties with it "
                                           "(too close to call on 10,000 images: +0.1 points [-0.4, +0.6]).")
    assert said(TWO, SINGLE, BEHIND).endswith("On the test images one wrn-16-2 is better: 86.9 %, +2.0 points [+1.0, "
                                              "+3.0]; the validation images did not show it.")


def test_a_cascade_says_how_it_runs_and_what_it_costs_on_average_and_at_worst():
    assert said(CASCADE, None, None).startswith(
        "Within 100 M MACs: run A, ask B only below 0.84 confidence: 96.1 % at 1.00 M MACs on average, 2.30 M at "
        "worst.")
    timed = dataclasses.replace(CASCADE, costs=costs(1e6, worst=2.3e6, ms=1.0))
    assert "at 1.00 M MACs and 1 ms on average, 2.30 M and 2.3 ms at worst." in said(timed, None, None)


@pytest.mark.parametrize("label,thresholds,confidence,words", [
    ("3 x A", [0.9, 0.8], "probability",
     "run A, ask another A only below 0.90 confidence, ask another A only below 0.80 confidence"),
    ("2 x A + 1 x B", [None, 0.67], "agreement",
     "run A and another A, ask B only where less than 67 % of those asked agree"),
    ("1 x A + 1 x B", [0.5], "margin", "run A, ask B only where the two likeliest classes are less than 0.50 apart"),
    ("1 x A + 1 x B", [-0.31], "entropy", "run A, ask B only where the answer is unsure (entropy above 0.31 nats)")])
def test_every_kind_of_cascade_has_words(label, thresholds, confidence, words):
    assert sentences.asked(candidate(0, label, 0.9, thresholds=thresholds, confidence=confidence)) == words


@pytest.mark.parametrize("share,text", [(0.84, "0.84"), (0.9, "0.90"), (0.0031, "0.0031"), (0.0049, "0.0049"),
                                        (0.9996, "0.9996"), (0.99962341, "0.99962"), (0.995, "0.995"), (1, "1.00"),
                                        (0, "0.00"), (0.05, "0.05"), (1.37, "1.37"), (2e-5, "0.00002")])
def test_a_threshold_near_0_or_1_has_the_digits_that_tell_it_from_them(share, text):
    assert format_share(share) == text


@given(st.floats(1e-9, 1 - 1e-9))
def test_no_threshold_is_shown_as_another_than_it_nearly_is(share):
    shown = float(format_share(share))
    assert 0 < shown < 1 and abs(shown - share) <= max(0.005, 0.05 * min(share, 1 - share))
    assert format_share(share) in sentences.asked(candidate(0, "1 x A + 1 x B", 0.9, thresholds=[share]))


def test_a_margin_says_what_a_tie_is_worth():
    as_good = dataclasses.replace(TIE, as_good=True, not_worse=True)
    not_worse = dataclasses.replace(TIE, as_good=False, not_worse=True)
    assert said(TWO, SINGLE, as_good, margin=0.01).endswith("[-0.4, +0.6]; as good within 1 point).")
    assert said(TWO, SINGLE, not_worse, margin=0.005).endswith("[-0.4, +0.6]; not worse by more than 0.5 points).")
    assert said(TWO, SINGLE, TIE).endswith("[-0.4, +0.6]).")


def test_many_test_images_get_a_second_decimal_and_no_minus_zero():
    nothing = Gain(-0.00001, -0.0001, 0.0001, False)
    text = said(TWO, SINGLE, nothing, test_images=50_000)
    assert "(86.80 %)" in text and "on 50,000 images: +0.00 points [-0.01, +0.01]" in text


def by(metric: str, one: Candidate, val: float, test: float) -> Candidate:
    return dataclasses.replace(one, val=dataclasses.replace(one.val, value=val), test=dataclasses.replace(
        one.test, value=test, value_low=test - 0.01, value_high=test + 0.01))


def test_balanced_accuracy_is_named_and_its_gains_are_points():
    single, two = (by("balanced_accuracy", one, value, value) for one, value in ((SINGLE, 0.698), (TWO, 0.712)))
    about = {"metric": "balanced_accuracy"}
    assert said(two, single, AHEAD, **about) == (
        "Within 100 M MACs: two wrn-16-1 (balanced accuracy 71.2 %). The best single network that fits, one wrn-16-2, "
        "has balanced accuracy 69.8 %: +1.4 points [+0.2, +2.5].")
    assert sentences.why(single, two, 5000, "balanced_accuracy").startswith(
        "The best in balanced accuracy, two wrn-16-1, is only 1.4 points better on validation (too close to call")


def test_an_nll_is_in_nats_and_a_gain_is_what_it_is_lower_by():
    single, two = (by("nll", one, value, value) for one, value in ((SINGLE, 0.44), (TWO, 0.41)))
    ahead, behind = Gain(0.03, 0.012, 0.048, True), Gain(-0.03, -0.048, -0.012, True)
    about = {"metric": "nll"}
    assert said(two, single, ahead, **about) == (
        "Within 100 M MACs: two wrn-16-1 (NLL 0.41 nats). The best single network that fits, one wrn-16-2, has NLL "
        "0.44 nats: a gain of 0.030 nats [+0.012, +0.048].")
    assert said(single, two, ahead, **about).endswith("Two wrn-16-1 have NLL 0.41 nats: a loss of 0.030 nats [-0.048, "
                                                      "-0.012].")
    assert said(single, two, behind, **about).endswith("On the test images two wrn-16-1 are better: NLL 0.41 nats, a "
                                                       "gain of 0.030 nats [+0.012, +0.048]; the validation images did "
                                                       "not show it.")
    assert said(two, single, dataclasses.replace(TIE, not_worse=True), margin=0.02, **about).endswith(
        "(too close to call on 10,000 images: a gain of 0.001 nats [-0.004, +0.006]; not worse by more than 0.02 "
        "nats).")
    assert "(NLL 0.440 nats)" in said(single, None, None, test_images=50_000, **about)
    assert sentences.why(two, two, 5000, "nll").startswith("Of all that fits it is the best in NLL on validation, and")
    assert sentences.why(single, two, 5000, "nll").startswith(
        "The best in NLL, two wrn-16-1, is only 0.03 nats better on validation (too close to call on 5,000 images)")
    same = by("nll", TWO, 0.44, 0.44)
    assert sentences.why(single, same, 5000, "nll").startswith("On validation it is as good as two wrn-16-1, and asks")
    assert sentences.intervals(choice_of(behind), empty([single, two], **about))[:2] == [
        "Two wrn-16-1 against one wrn-16-2: a gain of -0.030 nats",
        "  these very networks, on other images like the test images: -0.048 to -0.012 (95 %)"]


def test_guessing_has_a_value_in_every_metric():
    poor = Gain(-0.06, -0.1, -0.02, True)
    found = {metric: dataclasses.replace(empty([], classes=[str(i) for i in range(10)], metric=metric),
                                         majority=Majority("0", 0.8, value))
             for metric, value in (("balanced_accuracy", 0.1), ("nll", 0.78))}
    assert sentences.notes(by("balanced_accuracy", SINGLE, 0.1, 0.105), poor, found["balanced_accuracy"]) == [
        "This is chance level: guessing among 10 classes gives balanced accuracy 10.0 %.",
        'Not better than always answering "0": that alone has balanced accuracy 10.0 % on test.']
    assert sentences.notes(by("nll", SINGLE, 2.3, 2.31), poor, found["nll"]) == [
        "This is chance level: guessing among 10 classes gives NLL 2.30 nats.",
        "Not better than always answering the shares that the classes have of the validation images: that alone has "
        "NLL 0.78 nats on test."]
    assert sentences.notes(by("nll", SINGLE, 0.4, 0.41), AHEAD, found["nll"]) == []


def test_a_promise_is_about_accuracy_whatever_the_metric():
    said_of = sentences.promise(CASCADE, empty([CASCADE], val_images=300, metric="nll"))
    assert "can promise to lose at most 0.2 points of accuracy; that takes" in said_of[0]


def test_a_difference_that_is_next_to_nothing_has_no_exponent():
    assert (size("nll", 2e-7), size("nll", 0.0123), size("nll", 1.0)) == ("0.0001 nats", "0.012 nats", "1 nat")
    assert (size("accuracy", 0.0033), size("accuracy", 0.01)) == ("0.33 points", "1 point")


@pytest.mark.parametrize("budget,words", [
    ({"macs": 1e8}, "Within 100 M MACs: "), ({"serial_ms": 5.0}, "Within 5 ms: "), ({}, "Without a bound on cost: "),
    ({"parallel_ms": 0.5}, "Within 0.5 ms with one device per member: "), ({"bytes": 2e7}, "Within 20 MB: "),
    ({"macs": 1e8, "serial_worst_ms": 5.0, "params": 1e7},
     "Within 100 M MACs, 5 ms for every image and 10 M parameters: ")])
def test_budgets_in_words(budget, words):
    assert said(SINGLE, None, None, budget).startswith(words + "one wrn-16-2")


def test_why():
    assert sentences.why(SINGLE, SINGLE, 5000) == "Of all that fits it is the most accurate on validation."
    assert sentences.why(TWO, TWO, 5000).endswith("and nothing simpler comes within one standard error of it.")
    better = candidate(3, "3 x wrn-16-1", 0.8725, cost=costs(80e6))
    assert sentences.why(SINGLE, better, 5000) == (
        "The most accurate, three wrn-16-1, is only 0.25 points better on validation (too close to call on 5,000 "
        "images); this asks two networks fewer.")
    whole = candidate(4, "2 x wrn-16-1", 0.87, cost=costs(53.3e6))
    early = candidate(5, "2 x wrn-16-1", 0.87, cost=costs(31e6, worst=53.3e6), thresholds=[0.9])
    assert sentences.why(early, whole, 300) == (
        "On validation it is as accurate as two wrn-16-1, and costs 31.0 M MACs instead of 53.3 M.")


def test_what_has_to_be_known_before_believing_it():
    sure = Gain(0.3, 0.2, 0.4, True)
    assert sentences.notes(SINGLE, sure, empty([])) == []
    chance = candidate(0, "1 x A", 0.3, 0.34)
    assert sentences.notes(chance, Gain(-0.06, -0.1, -0.02, True), empty([], val_images=90)) == [
        "This is chance level: guessing among 3 classes gives 33.3 %.",
        'Not better than always answering "cat": that alone has 40.0 % on test.',
        "Chosen on 90 validation images only: another 90 could choose another candidate. 200 or more settle more."]
    bounded, = sentences.notes(dataclasses.replace(SINGLE, temperatures=(10.0,)), sure, empty([]))
    assert bounded.startswith("Calibration: the temperature stopped at its bound, 10: ")


def choice_of(gain: Gain | None) -> Choice:
    return Choice({}, "c1", "c1", "c0", "c0" if gain else None, gain, TIE, "why", "text")


def test_each_of_the_two_intervals_is_named():
    found = empty([SINGLE, TWO])
    both = dataclasses.replace(TIE, anew=Anew(-0.009, 0.011, False))
    assert sentences.intervals(choice_of(both), found) == [
        "Two wrn-16-1 against one wrn-16-2: +0.10 points",
        "  these very networks, on other images like the test images: -0.40 to +0.60 (95 %)",
        "  the same recipe trained again, on average over seeds:      -0.90 to +1.10"]
    for why in ("unknown until some network is trained with two seeds",
                "unknown from so few seeds, train more of wrn-16-2"):
        unknown = dataclasses.replace(TIE, anew_unknown=why)
        assert sentences.intervals(choice_of(unknown), found)[2].endswith(f"on average over seeds:      {why}")
    assert sentences.intervals(choice_of(None), found) == []


@pytest.mark.parametrize("order,name", [
    ("AAB", "a cascade of two A, then one B"), ("ABA", "a cascade of one A, then one B, then one A"),
    ("AA", "a cascade of two A"), ("ABBC", "a cascade of one A, then two B, then one C")])
def test_a_cascade_is_named_in_the_order_in_which_it_asks(order, name):
    assert sentences.named(dataclasses.replace(CASCADE, architectures=tuple(order))) == name


def test_the_slowest_images_are_said_once():
    """Where one image in a hundred is asked of all, 99 % of the images take as long as the worst."""
    slow = dataclasses.replace(CASCADE, costs=costs(1e6, worst=2.3e6, ms=0.2))
    assert "; 0.2 ms on average, 0.46 ms at worst; " in sentences.costs(slow)
    rare = dataclasses.replace(slow, costs=dataclasses.replace(slow.costs, serial_p99_ms=0.3))
    assert "; 0.2 ms on average, 0.3 ms for 99 % of the images, 0.46 ms at worst; " in sentences.costs(rare)


def test_a_promise_is_said_or_why_there_is_none():
    assert sentences.promise(SINGLE, empty([SINGLE])) == []
    assert sentences.promise(CASCADE, empty([CASCADE], val_images=300)) == [
        "No promise: where it stops was chosen for its cost, and what that loses against asking both is open. With 300 "
        "validation images none of these networks' cascades can promise to lose at most 0.2 points; that takes 2,048 "
        "or more."]
    shared = dataclasses.replace(empty([CASCADE], val_images=2100), promises_share=8)
    assert sentences.promise(CASCADE, shared)[0].endswith("that takes 3,252 or more.")
    kept = dataclasses.replace(CASCADE, id="c9", promise=Promise(0.002, 0.95, "loses at most 0.2 points"),
                               costs=costs(2e6, worst=2.3e6))
    assert sentences.promise(CASCADE, empty([CASCADE, kept]))[0].endswith(
        "c9 has one: run A, ask B only below 0.84 confidence: 96.1 % at 2.00 M MACs on average; it loses at "
        "most 0.2 points.")
    assert sentences.promise(kept, empty([CASCADE, kept])) == ["Promise: it loses at most 0.2 points."]


@pytest.mark.parametrize("macs,text", [(850, "850"), (26_657_000, "26.7 M"), (1_548_146_000, "1.55 G"),
                                       (2_960_000, "2.96 M"), (2_961_001, "2.97 M"), (392_612_000, "393 M")])
def test_counts_are_rounded_up_to_three_digits(macs, text):
    assert format_count(macs) == text


@pytest.mark.parametrize("count,text", [(1e8, "100 M"), (2e7, "20 M"), (2.5e6, "2.5 M"), (100, "100"), (1e9, "1 G")])
def test_bounds_have_no_zeros_behind_the_point(count, text):
    assert format_round(count) == text


@pytest.mark.parametrize("count,text", [(12, "12 B"), (317_900, "318 kB"), (1_500_000, "1.5 MB")])
def test_bytes_are_written_alike_in_bounds_and_costs(count, text):
    assert format_bytes(count) == text
    assert within_words({"bytes": count}) == f"Within {text}"


@pytest.mark.parametrize("ms,text", [(0.3717, "0.372 ms"), (12.5, "12.5 ms"), (5, "5 ms"), (1240.2, "1,240 ms")])
def test_milliseconds(ms, text):
    assert format_ms(ms) == text
