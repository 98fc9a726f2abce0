"""Which latencies an evaluation shows: all of one hardware."""

import dataclasses
from pathlib import Path

import pytest

from consort import hardware
from consort.costs.conditions import Asked, Network
from consort.costs.records import LatencyRecord
from consort.costs.stored import chosen, lacking, lacking_together, stored_here
from consort.documents import to_json
from consort.ensembles.composition import Composition
from consort.errors import InputError
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.file import Latency

HERE = hardware.hardware_id(hardware.describe())
NETWORKS = dict.fromkeys(("wrn-10-1", "wrn-10-2", "wrn-16-1"), Network((8, 8), "auto"))
RECORD = LatencyRecord("", "8x8", 10, 1, 1, "cpu", "float32", 50, 1.0, 0.9, 1.1, {"cpu": "a processor"}, "",
                       hardware.versions(), "2026-01-01T00:00:00+00:00")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def measured(store: FolderStore, where: str, *architectures: str, day: int = 1, **values: object) -> None:
    for name in architectures:
        record = dataclasses.replace(RECORD, architecture=name, hardware_id=where,
                                     measured_at=f"2026-01-{day:02d}T00:00:00+00:00", **values)
        graph = "-graph" if record.runtime == "graph" else ""
        store.write(keys.latency_record(where, name, f"8x8-c10-b{record.batch_size}-t1{graph}"), to_json(record))


def asked(**settings: object) -> Asked:
    return Asked(Latency(**settings), 10, NETWORKS)


def here(store: FolderStore) -> dict[str, LatencyRecord]:
    return stored_here(store, asked().conditions(gpu=False)[0])


def places(store: FolderStore, **settings: object) -> dict[str, str]:
    """Architecture -> hardware that its latency is from."""
    return {name: r.hardware_id for name, r in chosen(store, asked(**settings)).first.items()}


def test_nothing_is_known_of_an_empty_store(store: FolderStore) -> None:
    assert places(store) == {}


def test_this_hardware_goes_first(store: FolderStore) -> None:
    measured(store, "aaaa000000", *NETWORKS)
    measured(store, HERE, "wrn-10-2")
    assert places(store) == {"wrn-10-2": HERE}
    assert here(store).keys() == {"wrn-10-2"}


def test_a_measurement_of_another_torch_is_not_of_here(store: FolderStore) -> None:
    measured(store, HERE, "wrn-10-2", versions={"torch": "0.1"})
    assert here(store) == {}


def test_else_the_hardware_with_most_of_the_architectures(store: FolderStore) -> None:
    measured(store, "aaaa000000", "wrn-10-1", day=9)
    measured(store, "bbbb000000", "wrn-10-1", "wrn-16-1", "wrn-22-1", day=2)
    measured(store, "cccc000000", *NETWORKS, batch_size=8)
    assert places(store) == {"wrn-10-1": "bbbb000000", "wrn-16-1": "bbbb000000"}
    measured(store, "dddd000000", "wrn-10-1", "wrn-10-2", day=3)
    assert set(places(store).values()) == {"dddd000000"}


def test_named_hardware_and_no_other(store: FolderStore) -> None:
    measured(store, HERE, *NETWORKS)
    measured(store, "aaaa000000", "wrn-10-1")
    assert places(store, hardware="aaaa000000") == {"wrn-10-1": "aaaa000000"}
    with pytest.raises(InputError, match=r"unknown \[latency\] hardware 'aaaa000001': did you mean aaaa000000"):
        places(store, hardware="aaaa000001")


def test_every_batch_size_is_of_the_same_hardware(store: FolderStore) -> None:
    measured(store, "aaaa000000", "wrn-10-1", "wrn-10-2")
    measured(store, "bbbb000000", "wrn-10-1", batch_size=8, day=9)
    measured(store, "aaaa000000", "wrn-10-2", batch_size=8)
    found = chosen(store, asked(batch_sizes=(1, 8)))
    assert found.first.keys() == {"wrn-10-1", "wrn-10-2"}
    assert [(r.architecture, r.batch_size, r.hardware_id) for r in found.more] == [("wrn-10-2", 8, "aaaa000000")]


def test_graphs_and_what_is_launched_from_python_are_never_compared(store: FolderStore) -> None:
    measured(store, "aaaa000000", *NETWORKS, device="cuda")
    measured(store, "aaaa000000", "wrn-10-1", "wrn-10-2", device="cuda", runtime="graph", day=2)
    assert {r.runtime for r in chosen(store, asked()).first.values()} == {"torch"}, "there are more of them"
    measured(store, "aaaa000000", "wrn-16-1", device="cuda", runtime="graph", day=2)
    assert {r.runtime for r in chosen(store, asked()).first.values()} == {"graph"}, "they are newer"
    assert {r.runtime for r in chosen(store, asked(runtime="torch")).first.values()} == {"torch"}


def test_members_at_the_same_time_are_of_the_same_hardware(store: FolderStore) -> None:
    pair = Composition((("wrn-10-1", 2),))
    wanted = Asked(Latency(runtime="graph"), 10, NETWORKS, [pair])
    measured(store, "aaaa000000", *NETWORKS, runtime="graph")
    assert chosen(store, wanted).more == []
    measured(store, "bbbb000000", pair.label, runtime="graph")
    assert chosen(store, wanted).more == []
    measured(store, "aaaa000000", pair.label, runtime="graph")
    assert [r.architecture for r in chosen(store, wanted).more] == ["2 x wrn-10-1"]
    measured(store, HERE, "wrn-10-1", runtime="graph")
    assert lacking_together(store, wanted, gpu=True).keys() == {"2 x wrn-10-1"}
    measured(store, HERE, pair.label, runtime="graph")
    assert lacking_together(store, wanted, gpu=True) == {}
    assert [r.hardware_id for r in chosen(store, wanted).more] == [HERE]


def test_what_is_lacking_is_told_for_each_batch_size(store: FolderStore) -> None:
    measured(store, HERE, "wrn-10-1", "wrn-10-2")
    measured(store, HERE, "wrn-10-1", batch_size=8)
    missing = lacking(store, asked(batch_sizes=(1, 8)), gpu=False)
    assert [list(of_size) for of_size in missing] == [["wrn-16-1"], ["wrn-10-2", "wrn-16-1"]]
    assert [c.batch_size for of_size in missing for c in of_size.values()] == [1, 8, 8]
