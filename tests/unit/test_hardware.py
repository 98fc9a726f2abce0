"""What machine this is."""

import os
from pathlib import Path

import pytest

from consort import hardware

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


@pytest.mark.parametrize(("visible", "expected"), [("", []), ("-1", []), ("0", ["0"]), ("1,GPU-8f", ["1", "GPU-8f"])])
def test_gpus_are_those_that_are_visible(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert hardware.gpus() == expected


def test_versions_name_what_decides_results():
    assert {"python", "consort", "torch", "torchvision", "numpy"} <= hardware.versions().keys()
