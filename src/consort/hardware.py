"""What machine this is: read from the system, for records and for choosing the precision. No torch here."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from consort.cores import cores as cores  # it is asked here for what a machine has
from consort.documents import canonical_json, sha256

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""x86 and Arm names, in /proc/cpuinfo, of instructions that multiply bfloat16."""
DEVICES, DRIVER = Path("/dev"), Path("/proc/driver/nvidia")
"""Where the system keeps the files of devices, and NVIDIA's driver what it knows."""


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags; empty where the system does not list them."""
    return frozenset(_cpuinfo("flags").split() or _cpuinfo("Features").split())


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    return bool(_BFLOAT16_FLAGS & cpu_flags())


def gpus() -> list[str]:
    """Names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process can reach or is told to use; CUDA is not asked.

    The driver tells a pod of all GPUs of its node, also one that has none: what a process can reach has a file in /dev.
    A machine that was just started may lack these files too; nvidia-modprobe makes them for the first who asks.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    found = list(DEVICES.glob("nvidia[0-9]*"))
    if not found and shutil.which("nvidia-modprobe"):
        found = list(DRIVER.glob("gpus/*"))
    return [str(i) for i in range(len(found))]


def _gpu_model() -> str | None:
    """The first GPU's name, as the driver tells it."""
    for information in sorted(DRIVER.glob("gpus/*/information")):
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Model":
                return value.strip()
    return None


def driver() -> str | None:
    """The version of NVIDIA's driver."""
    for place in (Path("/sys/module/nvidia/version"), DRIVER / "version"):
        try:
            found = re.search(r"\d{3,}\.[\d.]+", place.read_text())
        except OSError:
            continue
        if found:
            return found[0]
    return None


def describe() -> dict:
    """The hardware, for records."""
    flags = cpu_flags()
    return {"cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
            "cores": cores(),
            "instructions": sorted(flags & {"avx2", "avx512f", "asimd", *_BFLOAT16_FLAGS}),
            "memory_gib": _memory_gib(),
            "gpu": _gpu_model() if gpus() else None, "system": f"{platform.system()} {platform.machine()}"}


def hardware_id(hardware: dict) -> str:
    """Short name of hardware on which the same measurement means the same: processor, instructions and GPU."""
    key = {name: hardware.get(name) for name in ("cpu", "instructions", "gpu", "system")}
    return sha256(canonical_json(key).encode())[:10]


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Versions of what decides results; `more` names further packages, of which those installed are told."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    for package in ("consort", "torch", "torchvision", "numpy", *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpuinfo(field: str) -> str:
    """The first value of a field of /proc/cpuinfo, or an empty text."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == field:
                    return value.strip()
    except OSError:
        pass
    return ""


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
