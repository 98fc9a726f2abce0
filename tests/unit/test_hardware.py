"""What machine this is."""

import os
from pathlib import Path

import pytest

from consort import hardware
from gpu_nodes import MODEL, gpu_node

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.exists(), reason="this system has no /proc/cpuinfo")
def test_native_bfloat16_is_what_the_processor_lists():
    words = set(CPUINFO.read_text().split())
    assert hardware.native_bfloat16() == bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
    assert hardware.cpu_flags() <= words


def test_hardware_id_is_of_the_processor_and_not_of_how_much_is_allotted():
    here = hardware.describe()
    name = hardware.hardware_id(here)
    assert hardware.hardware_id({**here, "cores": 999, "memory_gib": 1.0}) == name
    for other in ({"cpu": "another"}, {"gpu": "a GPU"}, {"instructions": ["another"]}):
        assert hardware.hardware_id({**here, **other}) != name


def test_cores_are_at_most_what_the_process_may_use():
    assert 1 <= hardware.cores() <= (os.cpu_count() or 1)


def limits(folder: Path, version: int, quota: int | None, period: int = 100_000) -> Path:
    """The files in which a container finds its CPU quota, as cgroup version 2 or 1 writes them."""
    if version == 2:
        (folder / "cpu.max").write_text(f"{'max' if quota is None else quota} {period}\n")
    else:
        (folder / "cpu").mkdir()
        (folder / "cpu/cpu.cfs_quota_us").write_text(f"{-1 if quota is None else quota}\n")
        (folder / "cpu/cpu.cfs_period_us").write_text(f"{period}\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("quota", "expected"), [(100_000, 1), (50_000, 1), (150_000, 1), (200_000, 2), (290_000, 2),
                                                 (800_000, 3), (None, 3)])
def test_a_quota_counts_in_whole_cores(monkeypatch, tmp_path, version, quota, expected):
    monkeypatch.setattr("consort.cores.CGROUP", limits(tmp_path, version, quota))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    assert hardware.cores() == expected


@pytest.mark.parametrize("text", ["", "max", "x 100000", "100000 0"])
def test_an_unreadable_quota_is_none(monkeypatch, tmp_path, text):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr("consort.cores.CGROUP", tmp_path)
    assert hardware.cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("visible", "expected"), [("", []), ("-1", []), ("0", ["0"]), ("1,GPU-8f", ["1", "GPU-8f"])])
def test_gpus_are_those_that_are_visible(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert hardware.gpus() == expected


@pytest.mark.parametrize(("reachable", "just_started", "expected"), [
    (0, False, []), (1, False, ["0"]), (2, False, ["0", "1"]), (0, True, ["0", "1"])])
def test_gpus_are_those_that_the_process_can_reach(monkeypatch, tmp_path, reachable, just_started, expected):
    gpu_node(monkeypatch, tmp_path, reachable, just_started)
    assert hardware.gpus() == expected
    assert hardware.describe()["gpu"] == (MODEL if expected else None)


def test_a_pod_without_a_gpu_is_the_same_hardware_on_every_node(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    without = hardware.hardware_id(hardware.describe())
    gpu_node(monkeypatch, tmp_path)
    assert hardware.hardware_id(hardware.describe()) == without


def test_versions_name_what_decides_results():
    assert {"python", "consort", "torch", "torchvision", "numpy"} <= hardware.versions().keys()
