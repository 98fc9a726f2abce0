"""Search spaces and their encodings."""

import random
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.errors import InputError
from consort.space.choices import GENES, Parameter, Space, StageChoices, space_of_parameters

untimed = settings(deadline=None, max_examples=50)


def some(values, at_most=3):
    return st.lists(st.sampled_from(values), min_size=1, max_size=at_most, unique=True).map(tuple)


choices = st.builds(StageChoices, some(["wide", "mbconv", "mbconv-se"]), some([8, 16, 64], 2), some([1, 2, 9], 2),
                    some([3, 5, 7], 2), some([1, 2, 6], 2), some([True, False], 2))
spaces = st.builds(lambda stages, members: Space("small", stages, members), st.tuples(choices, choices, choices),
                   st.integers(1, 3))
small_stage = st.builds(StageChoices, some(["wide", "mbconv"]), some([8, 16], 2), some([1, 2], 2), st.just((3,)),
                        some([1, 2], 2), some([True, False], 2))
ONE = StageChoices(("wide",), (8,), (1,), (3,), (1,), (True,))
small_spaces = st.builds(lambda stage, members: Space("small", (stage, ONE, ONE), members), small_stage,
                         st.integers(1, 2))


def any_encoding(draw, space):
    """Not necessarily canonical."""
    return tuple(draw(st.integers(0, len(p.choices) - 1)) for p in space.parameters)


@untimed
@given(st.data(), spaces)
def test_canonical_twice_is_canonical_once(data, space):
    encoding = any_encoding(data.draw, space)
    canonical = space.canonical(encoding)
    assert space.canonical(canonical) == canonical
    assert space.decode(canonical) == space.decode(encoding)


@untimed
@given(st.data(), spaces)
def test_names_are_encoded_as_they_were_decoded(data, space):
    encoding = any_encoding(data.draw, space)
    names = space.decode(encoding)
    assert space.encode(names) == space.encode(names[::-1]) == space.canonical(encoding)


@untimed
@given(st.data(), spaces)
def test_two_encodings_are_one_candidate_exactly_where_their_networks_are_equal(data, space):
    one, other = any_encoding(data.draw, space), any_encoding(data.draw, space)
    same = sorted(space.decode(one)) == sorted(space.decode(other))
    assert (space.canonical(one) == space.canonical(other)) == same


@untimed
@given(st.data(), spaces)
def test_values_by_name_are_the_encoding(data, space):
    encoding = any_encoding(data.draw, space)
    assert space.encoding_of(space.assignments(encoding)) == encoding


@untimed
@given(small_spaces)
def test_size_is_the_number_of_candidates_each_once_and_canonical(space):
    candidates = list(space.candidates())
    assert len(candidates) == len(set(candidates)) == space.size
    assert all(space.canonical(candidate) == candidate for candidate in candidates)
    assert space.size == comb(space.singles + space.members - 1, space.members)


@untimed
@given(st.data(), spaces)
def test_neighbours_are_other_candidates_and_neighbourhood_is_mutual(data, space):
    encoding = any_encoding(data.draw, space)
    neighbours, canonical = space.neighbours(encoding), space.canonical(encoding)
    assert len(neighbours) == len(set(neighbours)) and canonical not in neighbours
    for neighbour in data.draw(st.lists(st.sampled_from(neighbours), max_size=5)) if neighbours else []:
        assert space.canonical(neighbour) == neighbour
        assert canonical in space.neighbours(neighbour)


@untimed
@given(small_spaces)
def test_every_candidate_can_be_reached_from_neighbour_to_neighbour(space):
    start = next(space.candidates())
    reached, edge = {start}, [start]
    while edge:
        edge = [n for n in dict.fromkeys(n for e in edge for n in space.neighbours(e)) if n not in reached]
        reached.update(edge)
    assert len(reached) == space.size


@untimed
@given(spaces, st.integers(0, 9))
def test_what_is_drawn_is_canonical(space, seed):
    drawn = space.draw(random.Random(seed))
    assert space.canonical(drawn) == drawn


@untimed
@given(small_spaces)
def test_drawing_finds_the_last_candidate_and_says_when_there_is_none(space):
    *seen, last = space.candidates()
    assert space.draw_unseen(random.Random(0), set(seen)) == last
    assert space.draw_unseen(random.Random(0), {*seen, last}) is None


@untimed
@given(spaces)
def test_a_space_is_read_back_from_its_parameters(space):
    assert space_of_parameters("small", space.parameters) == space
    assert space_of_parameters("small", space.parameters[::-1]) == space


def parameters(**changes):
    made = {f"m1_s1_{gene}": choices for gene, choices in
            zip(GENES, (("wide", "mbconv"), ("8",), ("1",), ("3",), ("2",), ("yes",)), strict=True)}
    return [Parameter(name, tuple(values)) for name, values in (made | changes).items() if values is not None]


def test_the_parameters_of_one_stage_are_a_space():
    space = space_of_parameters("small", parameters())
    assert (space.singles, len(space.stages), space.members) == (2, 1, 1)


@pytest.mark.parametrize(("given_parameters", "rule"), [
    ([], "one stage or more"),
    ([Parameter("learning_rate", ("0.1",))], "no search parameter|no parameter|no search space"),
    (parameters(m1_s1_skip=None), "no parameter m1_s1_skip: a space has m<member>_s<stage>_<gene>"),
    (parameters(m1_s1_color=["red"]), "no search space of networks"),
    (parameters(m2_s1_block=["wide"]), "no search space of networks: every member must have the same choices"),
    (parameters() + parameters(), "each once"),
    (parameters(m1_s1_block=["dense"]), "block is one of wide, mbconv, mbconv-se, got dense"),
    (parameters(m1_s1_kernel=["4"]), "kernel is one of 3, 5, 7, got 4"),
    (parameters(m1_s1_width=["08"]), "width is one of 1 to 2048, got 08"),
    (parameters(m1_s1_width=["2049"]), "width is one of 1 to 2048, got 2049"),
    (parameters(m1_s1_width=["8", "8"]), "none of them twice"),
    (parameters(m1_s1_width=[]), "one choice or more"),
    (parameters(m1_s1_skip=["True"]), "skip is one of yes, no, got True"),
    (parameters(m1_s3_block=["wide"]), "no parameter m1_s2_block|no search space|no parameter"),
])
def test_parameters_of_no_space_are_refused_with_the_rule(given_parameters, rule):
    with pytest.raises(InputError, match=rule):
        space_of_parameters("small", given_parameters)


@pytest.mark.parametrize(("change", "rule"), [
    ({"skeleton": "medium"}, "unknown skeleton 'medium'"), ({"members": 0}, "one member or more"),
    ({"stages": ()}, "one stage or more")])
def test_an_impossible_space_is_refused(change, rule):
    with pytest.raises(InputError, match=rule):
        Space(**{"skeleton": "small", "stages": (ONE, ONE, ONE), "members": 1} | change)


SPACE = Space("small", (StageChoices(("wide", "mbconv"), (8, 16), (1,), (3,), (2,), (True,)), ONE, ONE))


@pytest.mark.parametrize(("names", "rule"), [
    (["net-s-w8d1k3-w8d1k3-w8d1k3"] * 2, "has 1 member, got 2"),
    (["net-s-w32d1k3-w8d1k3-w8d1k3"], "width of stage 1 is 32, the choices are 8, 16"),
    (["net-s-m8d1k3e4-w8d1k3-w8d1k3"], "expansion of stage 1 is 4, the choices are 2"),
    (["net-s-w8d1k3n-w8d1k3-w8d1k3"], "skip of stage 1 is no, the choices are yes"),
    (["net-l-" + "-".join(["w8d1k3"] * 7)], "of the skeleton 'large', the space of 'small'")])
def test_networks_that_the_space_has_not_are_refused(names, rule):
    with pytest.raises(InputError, match=rule):
        SPACE.encode(names)


def test_values_that_are_no_choice_are_refused():
    values = SPACE.assignments(SPACE.canonical((0,) * len(SPACE.parameters)))
    with pytest.raises(InputError, match="m1_s1_width is one of 8, 16, got '9'"):
        SPACE.encoding_of(values | {"m1_s1_width": "9"})
    with pytest.raises(InputError, match=r"unknown parameter 'm1_s1_widht': did you mean .*m1_s1_width"):
        SPACE.encoding_of(values | {"m1_s1_widht": "8"})
    del values["m1_s2_block"]
    with pytest.raises(InputError, match="have no value: m1_s2_block"):
        SPACE.encoding_of(values)


def test_an_encoding_of_another_length_is_refused():
    with pytest.raises(InputError, match="has 18 numbers, got 2"):
        SPACE.canonical((0, 0))
