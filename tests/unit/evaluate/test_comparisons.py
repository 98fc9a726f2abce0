"""Rows beside rows."""

import numpy as np
import pytest

from consort.ensembles.intervals import Interval, Seeds, simultaneous, trained_again
from consort.evaluate.comparisons import Comparable, Trainings, fair_pairs, fill_in
from consort.evaluate.rows import COLUMNS

ONE_SEED = Trainings(np.eye(5), list("abcde"), None)


@pytest.mark.parametrize("value,expected", [(1.0, (1 - 3 / 1000, 1.0)), (0.0, (0.0, 3 / 1000))])
def test_an_accuracy_of_all_or_none_is_uncertain_by_three_images(value, expected):
    row = dict.fromkeys(COLUMNS)
    fill_in(Comparable([row], np.full((200, 1), value), 0.95, 1000), ONE_SEED)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def four() -> Comparable:
    """A single, and three ensembles that are held against it: ahead by 1, 2 and 3 points."""
    rows = [dict.fromkeys(COLUMNS) | {"ensemble": f"{size} x a", "kind": "single" if size == 1 else "uniform",
                                      "val_accuracy_mean": 0.8, "val_nll_mean": 0.5, "macs": size,
                                      "accuracy_mean": 0.79 + 0.01 * size} for size in (1, 2, 3, 4)]
    noise = np.random.default_rng(0).normal(0, 0.004, (1000, 4))
    return Comparable(rows, np.array([row["accuracy_mean"] for row in rows]) + noise, 0.95, 5000)


def ends(row: dict, name: str) -> tuple:
    return tuple(row[f"{name}_{end}"] for end in ("low", "high", "resolved"))


def test_gains_of_a_table_have_intervals_that_hold_together(four):
    fill_in(four, ONE_SEED)
    apart = four.resampled[:, 1:] - four.resampled[:, [0]]
    expected = simultaneous(np.array([0.01, 0.02, 0.03]), apart, 5000)
    for row, over in zip(four.rows[1:], expected, strict=True):
        assert (row["versus_macs"], row["versus_latency_serial"]) == ("1 x a", None)
        assert ends(row, "gain_macs") == pytest.approx((over.low, over.high, over.resolved))
        low, high = np.quantile(apart[:, row["macs"] - 2], [0.025, 0.975])
        assert over.low < low < high < over.high
    assert [row["gain_macs_resolved"] for row in four.rows] == [None, False, True, True]


def test_a_row_has_both_verdicts_and_no_second_one_from_one_seed(four):
    fill_in(four, ONE_SEED)
    assert ends(four.rows[3], "gain_macs_anew") == (None, None, None)
    seeds = Seeds(dict.fromkeys("abcd", 4e-4), 4e-4, 4e-4, 3)
    fill_in(four, Trainings(np.eye(4), list("abcd"), seeds))
    images = float(np.var(four.resampled[:, 3] - four.resampled[:, 0]))
    again = trained_again(0.03, images, np.array([-1.0, 0, 0, 1]), list("abcd"), seeds)
    assert isinstance(again, Interval)
    assert ends(four.rows[3], "gain_macs_anew") == pytest.approx((again.low, again.high, False))
    assert four.rows[3]["gain_macs_resolved"] and ends(four.rows[0], "gain_macs_anew") == (None, None, None)


def test_a_row_whose_seeds_are_too_few_has_no_second_verdict_and_a_pair_says_why(four):
    """A variance of 1 was seen between two seeds, none of which lasts: nothing is known."""
    few = Trainings(np.eye(4), list("abcd"), Seeds(dict.fromkeys("abcd", 0.0), 0.0, 1.0, 1))
    fill_in(four, few)
    assert four.rows[3]["gain_macs_resolved"] and ends(four.rows[3], "gain_macs_anew") == (None, None, None)
    four.rows[2] |= {"ensemble": "3 x wrn-10-1", "combine": "geometric"}
    four.rows[0] |= {"ensemble": "1 x wrn-10-2"}
    pairs = [fair_pairs(four, trainings)[0] for trainings in (few, ONE_SEED)]
    assert [(pair["anew"], pair["anew_unknown"]) for pair in pairs] == [
        (None, "unknown from so few seeds, train more of a"),
        (None, "unknown until some network is trained with two seeds")]
    known = Trainings(np.eye(4), list("abcd"), Seeds(dict.fromkeys("abcd", 4e-4), 4e-4, 4e-4, 3))
    pair, = fair_pairs(four, known)
    assert pair["anew_unknown"] is None and pair["anew"]["low"] < pair["gain"] < pair["anew"]["high"]
