"""How the members of a run are dealt to processes."""

from hypothesis import given
from hypothesis import strategies as st

from consort.local.shares import shares
from consort.members.spec import MemberSpec
from consort.run.work import macs_by_name, member_work
from consort.study.recipe import Recipe

NAMES = ("wrn-10-1", "wrn-10-2", "wrn-16-4")
MEMBERS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)), min_size=1, max_size=12)


@given(MEMBERS, st.integers(1, 5), st.booleans())
def test_every_member_is_dealt_once_and_no_process_has_much_more_work_than_another(chosen, workers, on_gpu) -> None:
    specs = [MemberSpec(name, "data", Recipe(epochs=epochs), seed) for seed, (name, epochs) in enumerate(chosen)]
    takes = member_work(specs, macs_by_name(NAMES, None), on_gpu)

    def work(spec: MemberSpec) -> float:
        return takes[spec.id]

    dealt = shares(specs, workers, takes)
    assert sorted(spec.seed for share in dealt for spec in share) == list(range(len(specs)))
    assert len(dealt) == min(workers, len(specs))
    loads = [sum(map(work, share)) for share in dealt]
    assert max(loads) - min(loads) <= max(map(work, specs)) * (1 + 1e-9) or len(specs) < workers
    assert all(list(map(work, share)) == sorted(map(work, share)) for share in dealt)
