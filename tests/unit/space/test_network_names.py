"""Names of searched networks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.errors import InputError
from consort.space import networks
from consort.space.networks import BLOCKS, KERNELS, SKELETONS, Stage, network, parse

untimed = settings(deadline=None, max_examples=50)
stages = st.builds(Stage, st.sampled_from(list(BLOCKS)), st.integers(1, networks.MAX_WIDTH),
                   st.integers(1, networks.MAX_DEPTH), st.sampled_from(KERNELS),
                   st.integers(1, networks.MAX_EXPANSION), st.booleans())


@st.composite
def any_network(draw):
    skeleton = draw(st.sampled_from(list(SKELETONS)))
    count = len(SKELETONS[skeleton].strides)
    return network(skeleton, tuple(draw(st.lists(stages, min_size=count, max_size=count))))


@untimed
@given(any_network())
def test_a_network_is_read_back_from_its_name(made):
    assert parse(made.name) == made


@untimed
@given(stages)
def test_repairing_twice_is_repairing_once(stage):
    assert stage.repaired().repaired() == stage.repaired()


@untimed
@given(any_network(), any_network())
def test_equal_names_are_equal_networks(one, other):
    assert (one.name == other.name) == (one == other)


@untimed
@given(st.text(alphabet="netsl-wmqdk0123456789 ", max_size=40).map(lambda text: "net-s-" + text))
def test_any_text_is_read_or_refused(text):
    try:
        assert parse(text).name == text
    except InputError as e:
        assert text in str(e)


def test_names_that_trainings_have_keep_their_meaning():
    wide = Stage("wide", 8, 1, 3)
    assert parse("net-s-w8d1k3-w16d2k3-m32d1k5e2") == networks.Network(
        "small", (wide, Stage("wide", 16, 2, 3), Stage("mbconv", 32, 1, 5, 2)))
    assert parse("net-s-w8d1k3n-q16d2k7e6n-m32d2k5e1").stages == (
        Stage("wide", 8, 1, 3, 1, False), Stage("mbconv-se", 16, 2, 7, 6, False), Stage("mbconv", 32, 2, 5, 1))


@pytest.mark.parametrize(("name", "rule"), [
    ("net-", "begins with net-s- .* or net-l-"),
    ("net-x-w8d1k3", "begins with net-s- .* or net-l-"),
    ("s-w8d1k3-w8d1k3-w8d1k3", "begins with net-s-"),
    ("net-s-w8d1k3-w8d1k3", "has 3 stages, got 2"),
    ("net-l-w8d1k3-w8d1k3-w8d1k3", "has 7 stages, got 3"),
    ("net-s-w8d1k4-w8d1k3-w8d1k3", "'w8d1k4' cannot be read. A stage is w<channels>d<1-9>k<3|5|7>"),
    ("net-s-w08d1k3-w8d1k3-w8d1k3", "'w08d1k3' cannot be read"),
    ("net-s-w8d0k3-w8d1k3-w8d1k3", "'w8d0k3' cannot be read"),
    ("net-s-w2049d1k3-w8d1k3-w8d1k3", "channels are at most 2048"),
    ("net-s-w8d1k3e2-w8d1k3-w8d1k3", "'w8d1k3e2' cannot be read"),
    ("net-s-m8d1k3-w8d1k3-w8d1k3", r"m or q with e<1-9> \(the expansion\)"),
    ("net-s-w８d1k3-w8d1k3-w8d1k3", "cannot be read"),
    ("net-s-m8d1k3e2n-w8d1k3-w8d1k3", "n where no block .*; the network's name is net-s-m8d1k3e2-w8d1k3-w8d1k3"),
])
def test_a_name_is_refused_with_the_rule(name, rule):
    with pytest.raises(InputError, match=rule):
        parse(name)
