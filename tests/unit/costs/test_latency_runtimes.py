"""Latencies in ONNX Runtime: measured as a bundle runs, and kept apart from torch's; never how fast."""

from dataclasses import replace

import pytest
import torch

from consort import hardware
from consort.costs import latency, table
from consort.costs.conditions import Conditions
from consort.costs.latency import find_or_measure, measure
from consort.costs.stored import stored, stored_here
from consort.documents import to_json
from consort.errors import InputError
from consort.space.choices import Space, StageChoices
from consort.store import keys
from consort.store.folder import FolderStore

on_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="networks run on the GPU here")
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
    assert stored_here(store, {"wrn-10-1": IN_ONNX}) == {"wrn-10-1": record}


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


def test_onnxruntime_does_not_run_on_a_gpu():
    with pytest.raises(InputError, match="runs on the CPU"):
        measure("wrn-10-1", replace(IN_ONNX, device="cuda"), repeats=3)


@on_cpu
def test_a_graph_needs_a_gpu():
    with pytest.raises(InputError, match="no GPU here"):
        measure("wrn-10-1", replace(IN_TORCH, runtime="graph"), repeats=3)


def test_the_processor_is_not_timed_in_place_of_a_gpu_that_cannot_be_used(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match=r"built without CUDA.*CUDA_VISIBLE_DEVICES= \(empty\) uses the processor"):
        measure("wrn-10-1", IN_TORCH, repeats=3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_format_that_is_named_is_the_one_that_is_measured(tmp_path, precision):
    store = FolderStore(tmp_path)
    record = find_or_measure(store, "wrn-10-1", replace(IN_TORCH, precision=precision), repeats=3)
    assert record.precision == precision
    assert stored(store, "wrn-10-1", IN_TORCH) is None
    assert stored(store, "wrn-10-1", replace(IN_TORCH, precision=precision)) == record


@on_cpu
@pytest.mark.parametrize(("bfloat16_ms", "expected"), [(0.5, "bfloat16"), (1.0, "bfloat16"), (1.09, "bfloat16"),
                                                       (1.2, "float32"), (3.0, "float32")])
def test_auto_is_the_format_that_is_not_clearly_slower(monkeypatch, bfloat16_ms, expected):
    """On hardware with bfloat16, by passes of both; here their times are given."""
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: True)
    times = {"float32": 1.0, "bfloat16": bfloat16_ms}
    monkeypatch.setattr(latency, "times_ms", lambda ready, *_: {name: [times.get(name, 2.0)] * 5 for name in ready})
    assert measure("wrn-10-1", IN_TORCH).precision == expected


@on_cpu
def test_auto_is_float32_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: False)
    monkeypatch.setattr(latency, "faster", None)  # nothing is compared
    assert measure("wrn-10-1", IN_TORCH, repeats=3).precision == "float32"


def test_throughput_is_of_images():
    record = measure("wrn-10-1", replace(IN_TORCH, batch_size=16), repeats=3)
    assert record.images_per_second == pytest.approx(16 / (record.median_ms / 1000))
