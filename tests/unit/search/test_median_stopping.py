"""Median stopping: the rule by itself, and over the curves in a store."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.errors import Stopped
from consort.members.spec import MemberSpec
from consort.search.median_stopping import FEWEST, Median, falls_behind, grace, read_curve
from consort.space.choices import Space, StageChoices
from consort.store.folder import FolderStore
from consort.study.recipe import Recipe

SPACE = Space("small", (StageChoices(("wide",), (4, 8), (1, 2), (3,), (3,), (True,)),) * 3)
NAMES = [SPACE.decode(candidate)[0] for candidate in SPACE.candidates()]
RECIPE = Recipe(epochs=6)
curves = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def spec(number: int, recipe: Recipe = RECIPE, data: str = "0123456789ab") -> MemberSpec:
    return MemberSpec(NAMES[number], data, recipe, 0)


def rule(store: FolderStore, of: MemberSpec) -> Median:
    return Median(store, of, SPACE)


def trained(store: FolderStore, of: MemberSpec, curve: list[float]) -> None:
    for epoch, accuracy in enumerate(curve, 1):
        rule(store, of).after_epoch(epoch, accuracy)


@given(curves, st.lists(curves, max_size=9))
def test_it_stops_below_the_median_after_the_grace_and_never_at_the_end(curve, others):
    at = len(curve)
    there = [other[at - 1] for other in others if len(other) >= at]
    behind = len(there) >= FEWEST and max(curve) < median(there) and grace(6) <= at < 6
    assert (falls_behind(curve, others, 6) is not None) == behind


def test_a_training_behind_the_others_is_stopped_with_the_numbers(tmp_path):
    store = FolderStore(tmp_path)
    for number in range(FEWEST):
        trained(store, spec(number), [0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    slow = spec(FEWEST)
    rule(store, slow).after_epoch(1, 0.1)  # within the grace
    with pytest.raises(Stopped, match=r"after epoch 2 of 6.*20\.00 % is below the others' median of 40\.00 %"):
        rule(store, slow).after_epoch(2, 0.2)
    assert read_curve(store, slow.id) == [0.1, 0.2]
    with pytest.raises(Stopped):  # also when it comes back
        rule(store, slow).check(read_curve(store, slow.id))
    trained(store, spec(FEWEST + 1), [0.3, 0.45, 0.55])


@pytest.mark.parametrize("other", [
    {"recipe": Recipe(epochs=6, learning_rate=0.01)}, {"data": "ba9876543210"}], ids=["recipe", "data"])
def test_curves_of_another_recipe_or_data_do_not_count(tmp_path, other):
    store = FolderStore(tmp_path)
    for number in range(FEWEST):
        trained(store, spec(number, **other), [0.9] * 6)
    trained(store, spec(FEWEST), [0.1, 0.1, 0.1])


def test_networks_outside_of_the_space_do_not_count(tmp_path):
    store = FolderStore(tmp_path)
    small = Space("small", (StageChoices(("wide",), (4,), (1,), (3,), (3,), (True,)),) * 3)
    for number in range(1, FEWEST + 1):
        trained(store, spec(number), [0.9] * 6)
    Median(store, spec(0), small).after_epoch(2, 0.1)


def test_a_curve_that_is_no_curve_is_none(tmp_path):
    store = FolderStore(tmp_path)
    store.write(f"members/{spec(0).id}/curve.json", b"{")
    assert read_curve(store, spec(0).id) == []
    trained(store, spec(1), [0.1, 0.2])
