"""How the members of a run are dealt to processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.costs.macs import count
from consort.local.shares import shares, work_of
from consort.members.spec import MemberSpec
from consort.study.recipe import Recipe

NAMES = ("wrn-10-1", "wrn-10-2", "wrn-16-4")
MEMBERS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)), min_size=1, max_size=12)


@given(MEMBERS, st.integers(1, 5), st.booleans())
def test_every_member_is_dealt_once_and_no_process_has_much_more_work_than_another(chosen, workers, on_gpu) -> None:
    specs = [MemberSpec(name, "data", Recipe(epochs=epochs), seed) for seed, (name, epochs) in enumerate(chosen)]
    takes = work_of(specs, None, on_gpu)

    def work(spec: MemberSpec) -> float:
        return takes[spec.id]

    dealt = shares(specs, workers, takes)
    assert sorted(spec.seed for share in dealt for spec in share) == list(range(len(specs)))
    assert len(dealt) == min(workers, len(specs))
    loads = [sum(map(work, share)) for share in dealt]
    assert max(loads) - min(loads) <= max(map(work, specs)) * (1 + 1e-9) or len(specs) < workers
    assert all(list(map(work, share)) == sorted(map(work, share)) for share in dealt)


@pytest.mark.parametrize("name", ["wrn-10-1", "wrn-16-1", "wrn-16-4", "wrn-16-8", "wrn-28-10"])
@pytest.mark.parametrize("side", [8, 32])
def test_the_work_of_a_wide_residual_network_is_known_without_torch(name, side) -> None:
    spec = MemberSpec(name, "data", Recipe(epochs=7), 0)
    macs = count(name, side, 10).macs
    assert work_of([spec], (side, side), on_gpu=False)[spec.id] == pytest.approx(7 * macs, rel=0.25)


def test_on_a_gpu_a_small_network_takes_more_than_its_arithmetic() -> None:
    """As measured on an H200 in packs at batch 512: images per second."""
    measured = {"wrn-16-1": 290_000, "wrn-16-2": 211_000, "wrn-16-4": 114_000, "wrn-16-8": 44_700}
    specs = [MemberSpec(name, "data", Recipe(epochs=1), 0) for name in measured]
    work = [takes * rate for takes, rate in zip(work_of(specs, (32, 32), on_gpu=True).values(), measured.values(),
                                                strict=True)]
    assert max(work) < 1.25 * min(work)
