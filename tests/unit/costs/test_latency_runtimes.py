"""Latencies in ONNX Runtime: measured as a bundle runs, and kept apart from torch's; never how fast."""

from dataclasses import replace

import pytest

from consort.costs import table
from consort.costs.conditions import Conditions
from consort.costs.latency import find_or_measure
from consort.costs.stored import stored, stored_here
from consort.documents import to_json
from consort.errors import InputError
from consort.space.choices import Space, StageChoices
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.file import Latency

IN_TORCH = Conditions((8, 8), 10)
IN_ONNX = replace(IN_TORCH, runtime="onnxruntime")


def test_each_runtime_has_latencies_of_its_own(tmp_path):
    store = FolderStore(tmp_path)
    record = find_or_measure(store, "wrn-10-1", IN_ONNX, repeats=3)
    assert (record.runtime, record.device, record.precision) == ("onnxruntime", "cpu", "float32")
    assert record.versions["onnxruntime"] and 0 < record.p10_ms <= record.median_ms <= record.p90_ms
    assert stored(store, "wrn-10-1", IN_TORCH) is None
    assert find_or_measure(store, "wrn-10-1", IN_TORCH, repeats=3).runtime == "torch"
    assert find_or_measure(store, "wrn-10-1", IN_ONNX, repeats=3) == record, "it is not measured again"
    found = stored_here(store, {"wrn-10-1": "8x8"}, 10, Latency(runtime="onnxruntime"))
    assert found == {"wrn-10-1": record}


def test_another_version_of_the_runtime_is_measured_again(tmp_path):
    store = FolderStore(tmp_path)
    record = find_or_measure(store, "wrn-10-1", IN_ONNX, repeats=3)
    older = replace(record, versions=record.versions | {"onnxruntime": "1.0"})
    key = keys.latency_record(record.hardware_id, "wrn-10-1", IN_ONNX.text)
    store.write(key, to_json(older))
    assert stored(store, "wrn-10-1", IN_ONNX) is None
    store.write(key, to_json(replace(record, versions=record.versions | {"torch": "1.0"})))
    assert stored(store, "wrn-10-1", IN_ONNX) is not None, "torch did not run it"


def test_blocks_are_measured_in_torch_alone(tmp_path):
    space = Space("small", (StageChoices(("wide",), (4,), (1,), (3,), (2,), (False,)),) * 3)
    with pytest.raises(InputError, match='source = "measured"'):
        table.find_or_measure(FolderStore(tmp_path), space, IN_ONNX, repeats=3)
