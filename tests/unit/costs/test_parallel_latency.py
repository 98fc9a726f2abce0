"""The median of the slowest member, against passes drawn at random; and passes that take turns."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.costs.conditions import Conditions
from consort.costs.latency import measure_together
from consort.costs.parallel import slowest_ms
from consort.costs.records import QUANTILES, LatencyRecord
from consort.costs.timed import WARM_UP
from consort.models import families

NETWORK, OTHER = "wrn-10-1", "net-s-w4d1k3-w4d1k3-w4d1k3"


def record(times: np.ndarray, quantiles: bool = True) -> LatencyRecord:
    p10, median, p90 = np.percentile(times, [10, 50, 90])
    kept = np.quantile(times, np.linspace(0, 1, QUANTILES + 1)).tolist() if quantiles else None
    return LatencyRecord("a", "8x8", 10, 1, 1, "cpu", "float32", len(times), median, p10, p90, {}, "", {}, "", kept)


def passes(seed: int, typical_ms: float, spread: float) -> np.ndarray:
    return typical_ms * np.exp(spread * np.random.default_rng(seed).standard_normal(200_000))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("spread", [0.01, 0.3])
def test_of_equal_members_it_is_the_median_of_the_largest_of_as_many_passes(count, spread):
    times = passes(0, 2.0, spread)
    largest = np.max([np.random.default_rng(i).permutation(times) for i in range(count)], axis=0)
    assert slowest_ms([record(times)] * count) == pytest.approx(np.median(largest), rel=0.02 * spread + 1e-4)


def test_of_different_members_too():
    one, other = passes(1, 2.0, 0.2), passes(2, 2.2, 0.1)
    largest = np.maximum(np.maximum(one, np.random.default_rng(3).permutation(one)), other)
    assert slowest_ms([record(one), record(one), record(other)]) == pytest.approx(np.median(largest), rel=0.01)


def test_a_member_that_is_always_slowest_decides():
    assert slowest_ms([*[record(np.full(50, 1.0))] * 3, record(np.full(50, 4.0))]) == 4.0


def test_an_earlier_record_is_read_by_its_three_quantiles():
    times = passes(4, 2.0, 0.1)
    earlier = record(times, quantiles=False)
    assert slowest_ms([earlier]) == earlier.median_ms
    assert slowest_ms([earlier] * 3) == pytest.approx(slowest_ms([record(times)] * 3), rel=0.02)
    assert slowest_ms([earlier] * 50) == pytest.approx(earlier.p90_ms, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0.5, 9), min_size=3, max_size=40), min_size=1, max_size=3), st.integers(1, 4))
def test_it_lies_between_the_largest_median_and_the_slowest_pass(samples, count):
    records = [record(np.array(sample)) for sample in samples]
    found = slowest_ms(records * count)
    assert max(one.median_ms for one in records) - 1e-3 <= found <= max(map(max, samples)) + 1e-3


def test_architectures_take_turns_and_keep_their_quantiles(monkeypatch):
    """A pass of one, a pass of the other; what slows the machine down slows both down."""
    order = []

    def build(name: str, classes: int):
        network = real(name, classes)
        network.register_forward_hook(lambda *_: order.append(name))
        return network

    real = families.build
    monkeypatch.setattr("consort.costs.runtimes.build", build)
    conditions = Conditions((8, 8), 10, precision="float32")
    found = measure_together(dict.fromkeys((NETWORK, OTHER), conditions), repeats=5)
    assert order == [NETWORK, OTHER] * (WARM_UP + 5)
    for name, one in found.items():
        assert (one.architecture, one.repeats, len(one.quantiles_ms)) == (name, 5, QUANTILES + 1)
        assert one.quantiles_ms == sorted(one.quantiles_ms)
        assert one.quantiles_ms[QUANTILES // 2] == one.median_ms
    assert dataclasses.asdict(found[NETWORK])["quantiles_ms"] == found[NETWORK].quantiles_ms
