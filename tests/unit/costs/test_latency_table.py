"""Measuring the pieces of a space's networks; here only that it measures what it says, never how fast."""

import dataclasses
from pathlib import Path

import pytest

from consort.costs.blocks import pieces, pieces_of_space, predict
from consort.costs.conditions import Conditions
from consort.costs.latency import measure as measure_whole
from consort.costs.table import _build, covering_networks, find_or_measure, prediction_error
from consort.costs.timed import clock
from consort.errors import InputError
from consort.models import compute, staged
from consort.space import networks
from consort.space.choices import Space, StageChoices
from consort.store.folder import FolderStore

SPACE = Space("small", (StageChoices(("wide", "mbconv"), (4, 8), (1, 2), (3,), (2,), (True, False)),) * 3)
LARGE = Space("large", (StageChoices(("mbconv", "mbconv-se"), (8, 16), (1, 2), (3, 5), (2, 3), (True,)),) * 7)
SMALL = Conditions((8, 8), 3)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", ["net-s-w8d2k3-m16d3k5e2n-q32d1k3e4", "net-s-w8d1k3n-w16d2k5-w32d1k3"])
def test_pieces_are_the_network_cut_up(name):
    network = networks.parse(name)
    parts = [_build(network.skeleton, piece, 10) for piece in pieces(network, (32, 32))]
    whole = staged.build(name, 10)
    assert [parameters(part) for part in parts] == [
        parameters(part) for part in (whole.stem, *whole.blocks, whole.head)]
    assert [getattr(part, "skip", None) for part in parts] == [
        getattr(part, "skip", None) for part in (whole.stem, *whole.blocks, whole.head)]


@pytest.mark.parametrize("space", [SPACE, LARGE])
def test_few_networks_cover_every_piece(space):
    size = (32, 32)
    chosen = covering_networks(space, size)
    wanted = pieces_of_space(space, size)
    assert {piece for network in chosen for piece in pieces(network, size)} == set(wanted)
    assert len(chosen) < len(wanted)


def test_a_table_is_measured_once_and_says_how_well_it_predicts(tmp_path: Path):
    store = FolderStore(tmp_path)
    table = find_or_measure(store, SPACE, SMALL, repeats=3)
    assert set(table.pieces_ms) == {piece.key for piece in pieces_of_space(SPACE, (8, 8))}
    assert min(table.pieces_ms.values()) > 0
    assert len(table.networks) == table.error["n"] == 30
    assert {name: predict(table, name) for name in table.networks} == pytest.approx(
        {name: values["predicted_ms"] for name, values in table.networks.items()}, abs=1e-4)
    assert not {network.name for network in covering_networks(SPACE, (8, 8))} & set(table.networks)
    assert find_or_measure(store, SPACE, SMALL, repeats=3) == table
    assert find_or_measure(store, SPACE, SMALL, repeats=3, again=True) != table


def test_a_space_of_one_network_has_a_table_too(tmp_path: Path):
    one = Space("small", (StageChoices(("wide",), (4,), (1,), (3,), (1,), (True,)),) * 3)
    table = find_or_measure(FolderStore(tmp_path), one, SMALL, repeats=3)
    assert list(table.networks) == ["net-s-w4d1k3-w4d1k3-w4d1k3"]
    assert table.error["rank_correlation"] is None


def test_errors_of_predictions():
    found = prediction_error({"a": {"measured_ms": 1.0, "predicted_ms": 1.1},
                              "b": {"measured_ms": 2.0, "predicted_ms": 1.4},
                              "c": {"measured_ms": 4.0, "predicted_ms": 4.0}})
    assert found == {"n": 3, "mean_absolute_percent": 13.33, "bias_percent": -6.67, "worst_percent": -30.0,
                     "worst": "b", "rank_correlation": 1.0}


def test_one_thread_is_timed_without_its_time_in_line():
    place = compute.Compute(compute.choose("float32").device, "float32")
    if place.device.type != "cpu":
        pytest.skip("a GPU is timed by wall clock")
    assert clock(place, 1) is not clock(place, 2)
    record = measure_whole("net-s-w4d1k3-w4d1k3-w4d1k3", SMALL, repeats=3)
    assert 0 < record.p10_ms <= record.median_ms <= record.p90_ms


@pytest.mark.parametrize("change,said", [({"runtime": "onnx"}, "unknown runtime 'onnx'.*onnxruntime"),
                                         ({"device": "abacus"}, r"latencies are measured on .* here, not on abacus")])
def test_what_cannot_be_done_here_is_not_measured_as_if_it_was(change, said):
    with pytest.raises(InputError, match=said):
        measure_whole("net-s-w4d1k3-w4d1k3-w4d1k3", dataclasses.replace(SMALL, **change))
