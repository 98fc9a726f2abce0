"""How many members train side by side on a GPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.members.spec import MemberSpec
from consort.study.recipe import Recipe
from consort.train.packs import FULL_STEP_MACS, MOST_SIDE_BY_SIDE, members_that_fill_a_gpu, packs

MACS = {"wrn-16-1": 26.7e6, "wrn-16-2": 101e6, "wrn-16-4": 393e6, "wrn-16-8": 1.55e9, "wrn-28-10": 5.2e9}
"""Of an image of 32x32."""
amounts = st.floats(1e3, 1e12)
batches = st.integers(1, 8192)


@pytest.mark.parametrize(("network", "batch", "members"), [
    ("wrn-16-1", 32, 8), ("wrn-16-1", 128, 8), ("wrn-16-1", 512, 8), ("wrn-16-1", 4096, 4), ("wrn-16-2", 128, 8),
    ("wrn-16-2", 512, 8), ("wrn-16-2", 1024, 4), ("wrn-16-4", 128, 8), ("wrn-16-4", 512, 2), ("wrn-16-8", 128, 3),
    ("wrn-16-8", 512, 1), ("wrn-28-10", 128, 1)])
def test_a_pack_fills_the_chip(network: str, batch: int, members: int) -> None:
    assert members_that_fill_a_gpu(MACS[network], batch) == members


@given(amounts, batches)
def test_a_pack_has_one_to_eight_members_and_no_more_than_it_takes(macs: float, batch: int) -> None:
    members = members_that_fill_a_gpu(macs, batch)
    assert 1 <= members <= MOST_SIDE_BY_SIDE == 8
    assert members == 8 or members * macs * batch >= FULL_STEP_MACS * (1 - 1e-9)
    assert members == 1 or (members - 1) * macs * batch < FULL_STEP_MACS


@given(amounts, amounts, batches, batches)
def test_larger_networks_or_batches_make_smaller_packs(one: float, other: float, few: int, many: int) -> None:
    (one, other), (few, many) = sorted((one, other)), sorted((few, many))
    assert members_that_fill_a_gpu(one, few) >= members_that_fill_a_gpu(other, few) >= \
        members_that_fill_a_gpu(other, many)


@given(st.lists(st.tuples(st.sampled_from(sorted(MACS)), st.sampled_from([32, 512])), max_size=30),
       st.none() | st.integers(1, 9))
def test_every_member_is_in_one_pack_of_its_like_and_packs_are_even(chosen: list, most: int | None) -> None:
    specs = [MemberSpec(name, "data", Recipe(batch_size=batch), seed) for seed, (name, batch) in enumerate(chosen)]
    found = packs(specs, MACS, most)
    assert sorted(spec.seed for pack in found for spec in pack) == list(range(len(specs)))
    sizes: dict[tuple, list[int]] = {}
    for pack in found:
        ((name, recipe),) = {(spec.architecture, spec.recipe) for spec in pack}
        assert [spec.seed for spec in pack] == sorted(spec.seed for spec in pack)
        assert 1 <= len(pack) <= (most or members_that_fill_a_gpu(MACS[name], recipe.batch_size))
        sizes.setdefault((name, recipe), []).append(len(pack))
    assert all(max(of_one) - min(of_one) <= 1 for of_one in sizes.values())
