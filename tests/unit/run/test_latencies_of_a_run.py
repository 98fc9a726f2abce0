"""What a run's evaluation finds lacking, and what the process with torch then measures, is decided alike."""

import pytest
import torch

from consort.events import Measured
from consort.members.records import MemberRecord
from consort.run import answer
from consort.run.plan import plan
from consort.run.run import Run
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from gpu_nodes import gpu_node

STUDY = """
name = "timed"
[data]
source = "digits"
train_images = 300
val_images = 300
[latency]
repeats = 3
[architectures]
wrn-10-1 = { seeds = 2 }
"""


@pytest.fixture
def run(tmp_path) -> Run:
    store = FolderStore(tmp_path / "store")
    return Run(plan(store, parse_study(STUDY, "study.toml"), tmp_path, tmp_path / "cache"), store, tmp_path / "cache")


def records(run: Run) -> list[MemberRecord]:
    return [MemberRecord(id=spec.id, architecture=spec.architecture, data=spec.data, recipe={"precision": "float32"},
                         seed=spec.seed, files={}, macs=1, params=1, input="8x8", val_accuracy=0.5,
                         precision="float32") for spec in run.plan.specs]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a process here can use a GPU")
def test_a_pod_without_a_gpu_measures_once_on_a_gpu_node(run, tmp_path, monkeypatch) -> None:
    gpu_node(monkeypatch, tmp_path)
    told: list[Measured] = []
    assert answer._unmeasured(run, records(run))
    answer.measure_latencies(run, records(run), told.append)
    assert [(event.architecture, event.batch_size) for event in told] == [("wrn-10-1", 1)]
    assert not answer._unmeasured(run, records(run))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # on a node without GPUs it is the same measurement
    assert not answer._unmeasured(run, records(run))
    assert len(list(run.store.list(keys.LATENCIES))) == 1
