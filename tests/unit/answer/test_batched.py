"""Costs in batches against batches drawn at random, and costs of members at the same time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.answer.batched import Beside, ms_per_image
from consort.answer.choices import Costs
from consort.answer.sentences import in_batches
from consort.costs.records import LatencyRecord

SMALL, LARGE = {1: 1.0, 8: 2.0, 64: 9.0}, {1: 4.0, 8: 11.0, 64: 70.0}


def record(architecture: str, batch_size: int, ms: float, together: list[str] | None = None) -> LatencyRecord:
    return LatencyRecord(architecture, "8x8", 10, batch_size, 1, "cuda", "bfloat16", 5, ms, ms, ms, {}, "hw", {}, "",
                         runtime="graph", together=together)


def records(first: int = 1) -> tuple[list[LatencyRecord], list[LatencyRecord]]:
    """Those that answers are about, and the others."""
    found = [record(name, size, ms) for name, times in (("small", SMALL), ("large", LARGE))
             for size, ms in times.items()]
    return [r for r in found if r.batch_size == first], [r for r in found if r.batch_size != first]


def test_a_single_or_an_ensemble_takes_its_passes_divided_by_the_images():
    assert ms_per_image(64, [1.0], [SMALL]) == pytest.approx(9 / 64)
    assert ms_per_image(8, [1.0, 1.0], [SMALL, LARGE]) == pytest.approx((2 + 11) / 8)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_cascade_takes_what_batches_of_the_images_that_are_left_take_on_average(share):
    left = np.random.default_rng(0).binomial(64, share, 100_000)
    second = np.where(left == 0, 0.0, np.interp(left, [1, 8, 64], [4.0, 11.0, 70.0]))
    expected = (9.0 + second.mean()) / 64
    assert ms_per_image(64, [1.0, share], [SMALL, LARGE]) == pytest.approx(expected, rel=0.01)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_asking_about_fewer_images_is_never_dearer(one, other):
    few, many = (images / 10_000 for images in sorted((one, other)))
    costs = [ms_per_image(8, [1.0, share], [SMALL, LARGE]) for share in (few, many)]
    assert costs[0] <= costs[1] + 1e-12
    assert ms_per_image(8, [1.0], [SMALL]) <= costs[0] + 1e-12


def test_every_batch_size_that_is_known_of_all_members_is_told():
    latencies, more = records()
    beside = Beside.of(latencies, [r for r in more if (r.architecture, r.batch_size) != ("large", 8)])
    mean, worst = beside.batched(["small", "large"], np.array([1, 1, 1, 2]))
    assert worst == {"64": pytest.approx(79 / 64, abs=1e-6)}
    assert mean == {"64": pytest.approx(ms_per_image(64, [1.0, 0.25], [SMALL, {1: 4.0, 64: 70.0}]), abs=1e-6)}
    alone, _ = beside.batched(["small"], np.array([1, 1]))
    assert alone == {"8": 0.25, "64": pytest.approx(9 / 64)}
    assert beside.batched(["small", "another"], np.array([1, 2])) == (None, None)


def test_nothing_is_said_where_one_size_is_known_or_answers_are_about_batches():
    latencies, _ = records()
    assert Beside.of(latencies, []).batched(["small"], np.array([1])) == (None, None)
    assert Beside.of(*records(first=8)).batched(["small"], np.array([1])) == (None, None)


def test_members_at_the_same_time_are_found_in_any_order_and_only_as_measured():
    latencies, more = records()
    beside = Beside.of(latencies, [*more, record("2 x small + 1 x large", 1, 4.5, ["small", "small", "large"])])
    assert beside.concurrent_ms(["small", "large", "small"]) == 4.5
    assert beside.concurrent_ms(["small", "large"]) is None
    assert beside.times == {"small": SMALL, "large": LARGE}, "a record of several is none of one"


def test_the_sentence_says_how_much_less_stopping_early_is_worth_in_a_batch():
    costs = Costs(1.0, 2.0, 1.25, 5.0, 5.0, 2.0, 1, None, None, {"8": 0.9, "64": 0.5}, {"8": 1.6, "64": 1.25})
    assert in_batches(costs, cascade=True) == (
        "0.5 ms an image in batches of 64, where stopping early saves 60 % of the time (one at a time 75 %)")
    assert in_batches(costs, cascade=False) == "0.5 ms an image in batches of 64"
    assert in_batches(Costs(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, None, None), cascade=True) == ""
