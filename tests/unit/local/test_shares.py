"""How the members of a run are dealt to processes."""

from hypothesis import given
from hypothesis import strategies as st

from consort.local.shares import shares
from consort.members.spec import MemberSpec
from consort.study.recipe import Recipe

WORK = {"wrn-10-1": 6, "wrn-10-2": 24, "wrn-16-4": 192}
MEMBERS = st.lists(st.tuples(st.sampled_from(sorted(WORK)), st.integers(1, 3)), min_size=1, max_size=12)


def work(spec: MemberSpec) -> int:
    return WORK[spec.architecture] * spec.recipe.epochs


@given(MEMBERS, st.integers(1, 5))
def test_every_member_is_dealt_once_and_no_process_has_much_more_work_than_another(chosen, workers) -> None:
    specs = [MemberSpec(name, "data", Recipe(epochs=epochs), seed) for seed, (name, epochs) in enumerate(chosen)]
    dealt = shares(specs, workers)
    assert sorted(spec.seed for share in dealt for spec in share) == list(range(len(specs)))
    assert len(dealt) == min(workers, len(specs))
    loads = [sum(map(work, share)) for share in dealt]
    assert max(loads) - min(loads) <= max(map(work, specs)) or len(specs) < workers
    assert all(list(map(work, share)) == sorted(map(work, share)) for share in dealt)
