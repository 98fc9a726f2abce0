"""A network's latency as the sum of its pieces: without torch."""

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort import hardware
from consort.costs.blocks import fastest, pieces, pieces_of_space, predict, slowest, stored_table, table_digest
from consort.costs.conditions import Conditions
from consort.costs.records import LatencyTable
from consort.documents import to_json
from consort.errors import InputError
from consort.space import networks
from consort.space.choices import Space, StageChoices
from consort.store import keys
from consort.store.folder import FolderStore

HERE = hardware.hardware_id(hardware.describe())
SPACE = Space("small", (
    StageChoices(("wide", "mbconv-se"), (8, 16), (1, 2), (3,), (2, 4), (True, False)),
    StageChoices(("mbconv",), (16,), (1, 3), (3, 5), (2,), (True,)),
    StageChoices(("wide", "mbconv"), (16, 32), (1,), (3,), (2,), (True,))))
BATCH_OF_ONE = Conditions((32, 32), 10)


def table_of(space: Space, seed: int = 0, size: tuple[int, int] = (32, 32), **values: object) -> LatencyTable:
    """Pieces with invented times; in eighths, so that sums are exact."""
    rng = random.Random(seed)
    times = {piece.key: rng.randrange(1, 80) / 8 for piece in pieces_of_space(space, size)}
    return LatencyTable(**{
        "skeleton": space.skeleton, "input": f"{size[0]}x{size[1]}", "classes": 10, "batch_size": 1, "threads": 1,
        "device": "cpu", "precision": "float32", "repeats": 50, "pieces_ms": times, "networks": {}, "error": {},
        "seconds": 1.0, "hardware": {"cpu": "a processor"}, "hardware_id": HERE, "versions": hardware.versions(),
        "measured_at": "2026-01-01T00:00:00+00:00", **values})


def names_of(space: Space) -> list[str]:
    return [space.decode(candidate)[0] for candidate in space.candidates()]


def test_a_network_is_its_stem_blocks_and_head_with_the_shapes_that_they_see():
    found = [piece.key for piece in pieces(networks.parse("net-s-w8d2k3-m16d3k5e2-q32d1k3e4"), (32, 24))]
    assert found == [
        "stem-from3-32x24", "w8d1k3-from16-stride1-32x24", "w8d1k3-from8-stride1-32x24",
        "m16d1k5e2n-from8-stride2-32x24", *["m16d1k5e2-from16-stride1-16x12"] * 2, "q32d1k3e4n-from16-stride2-16x12",
        "head-from32-8x6"]


def test_odd_sides_are_rounded_up_as_padded_convolutions_do():
    assert pieces(networks.parse("net-s-w8d1k3-w8d1k3-w8d1k3"), (15, 15))[-1].key == "head-from8-4x4"


def test_a_space_has_the_pieces_of_its_networks_and_no_others():
    of_networks = {piece for name in names_of(SPACE) for piece in pieces(networks.parse(name), (32, 32))}
    of_space = pieces_of_space(SPACE, (32, 32))
    assert set(of_space) == of_networks
    assert len({piece.key for piece in of_space}) == len(of_space) == len(of_networks)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_fastest_and_slowest_are_those_of_all_networks(seed):
    table = table_of(SPACE, seed)
    predicted = {name: predict(table, name) for name in names_of(SPACE)}
    for (name, ms), extreme in ((fastest(table, SPACE), min), (slowest(table, SPACE), max)):
        assert ms == predicted[name] == extreme(predicted.values())


def test_a_network_of_another_space_is_refused():
    with pytest.raises(InputError, match="has not measured its piece w64d1k3-from16-stride1-32x32; the table is"):
        predict(table_of(SPACE), "net-s-w64d1k3-m16d1k3e2-w16d1k3")


def test_tables_differ_by_what_they_are_about():
    digest = table_digest(SPACE, BATCH_OF_ONE)
    assert digest == "0bf472f677", "stores have tables under this name"
    assert table_digest(dataclasses.replace(SPACE, members=3), BATCH_OF_ONE) == digest
    shuffled = dataclasses.replace(SPACE.stages[0], width=(16, 8), depth=(2, 1))
    assert table_digest(dataclasses.replace(SPACE, stages=(shuffled, *SPACE.stages[1:])), BATCH_OF_ONE) == digest
    others = [table_digest(SPACE, dataclasses.replace(BATCH_OF_ONE, **change)) for change in (
        {"input": (16, 16)}, {"classes": 11}, {"batch_size": 8}, {"threads": 2}, {"device": "cpu"},
        {"precision": "float32"}, {"runtime": "onnx"})]
    fewer = dataclasses.replace(SPACE, stages=SPACE.stages[:2] + SPACE.stages[:1])
    assert len({digest, table_digest(fewer, BATCH_OF_ONE), *others}) == 9


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def put(store: FolderStore, table: LatencyTable, where: str) -> None:
    store.write(keys.latency_table(where, table_digest(SPACE, BATCH_OF_ONE)), to_json(table))


def read(store: FolderStore, hardware_id: str | None = None) -> LatencyTable | None:
    return stored_table(store, SPACE, BATCH_OF_ONE, hardware_id)


def test_a_stored_table_is_read_back(store):
    assert read(store) is None
    put(store, table_of(SPACE), HERE)
    assert read(store) == table_of(SPACE)


def test_a_table_of_other_hardware_is_refused_with_both_ids(store):
    put(store, table_of(SPACE, hardware_id="other00000"), "other00000")
    with pytest.raises(InputError, match=rf"on hardware other00000 \(a processor\).* for hardware {HERE}: mill"):
        read(store)


def test_a_table_in_the_folder_of_other_hardware_is_refused(store):
    put(store, table_of(SPACE, hardware_id="other00000"), HERE)
    with pytest.raises(InputError, match=rf"on hardware other00000 \(a processor\).* for hardware {HERE}: mill"):
        read(store)


def test_other_hardware_is_searched_for_on_purpose(store):
    put(store, table_of(SPACE, hardware_id="other00000", versions={"torch": "1.0"}), "other00000")
    assert read(store, "other00000") is not None


def test_a_table_of_another_torch_is_measured_again(store):
    if "torch" not in hardware.versions():
        pytest.skip("no torch here")
    put(store, table_of(SPACE, versions={"torch": "1.0"}), HERE)
    assert read(store) is None
