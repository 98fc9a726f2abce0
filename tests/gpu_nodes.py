"""What a process sees of GPUs, as files: of the node's driver, and of the devices that it can reach."""

from pathlib import Path

import pytest

from consort import hardware

MODEL = "NVIDIA H100 80GB HBM3"


def gpu_node(monkeypatch: pytest.MonkeyPatch, folder: Path, reachable: int = 0, just_started: bool = False) -> None:
    """A node with two GPUs, and a process on it that can reach so many of them: 0 is a pod without a GPU.

    just_started: the machine itself, before anybody asked it for a GPU.
    """
    devices, driver, programs = folder / "dev", folder / "driver", folder / "programs"
    for number in range(2):
        (driver / f"gpus/0000:0{number}:00.0").mkdir(parents=True)
        (driver / f"gpus/0000:0{number}:00.0/information").write_text(f"Model: \t\t {MODEL}\nIRQ:   \t\t 36\n")
    devices.mkdir()
    for name in ["nvidiactl", *(f"nvidia{number}" for number in range(reachable))] if reachable else []:
        (devices / name).touch()
    programs.mkdir()
    if just_started:
        (programs / "nvidia-modprobe").touch(mode=0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(hardware, "DEVICES", devices)
    monkeypatch.setattr(hardware, "DRIVER", driver)
