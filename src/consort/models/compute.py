"""Where and in which number format a network runs."""

import importlib.util
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from consort import hardware
from consort.models.small_maps import small_maps_in_float32


@dataclass(frozen=True)
class Compute:
    """A device and the format of its convolutions and matrix products; weights stay float32."""

    device: torch.device
    precision: str
    """bfloat16 or float32."""

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def place(self, network: nn.Module) -> nn.Module:
        """Move to the device in channels-last layout, which convolutions on CPUs and tensor cores read fastest."""
        if self.device.type == "cpu" and self.precision == "bfloat16":
            small_maps_in_float32(network)
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def choose(precision: str, local_rank: int = 0) -> Compute:
    """The GPU where there is one, else the CPU; "auto" is bfloat16 where the hardware has it natively."""
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        device = torch.device("cpu")
        native = hardware.native_bfloat16()
    if precision == "auto":
        precision = "bfloat16" if native else "float32"
    return Compute(device, precision)


def is_deterministic(place: Compute, asked: bool | None) -> bool:
    """Whether bits are equal from run to run: on CPUs always, on GPUs if asked for, since it costs time there."""
    return place.device.type == "cpu" or bool(asked)


def use_determinism(asked: bool | None) -> None:
    """Let CUDA's libraries choose algorithms that give equal bits from run to run, or the fastest by trying them.

    Before the first work on the GPU: cuBLAS reads its variable once. An operator of torch that has no such algorithm
    warns, once.
    """
    if not torch.cuda.is_available():
        return
    exact = bool(asked)
    if exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = exact, not exact
    torch.use_deterministic_algorithms(exact, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it costs time


def machine(place: Compute) -> dict[str, str]:
    """What has to be the same for two trainings to give the same bits."""
    found = {"torch": torch.__version__}
    if place.device.type == "cuda":
        return found | {"device": torch.cuda.get_device_name(place.device), "driver": hardware.driver() or "",
                        "cudnn": str(torch.backends.cudnn.version())}
    described = hardware.describe()
    return found | {"device": described["cpu"], "instructions": " ".join(described["instructions"])}


def lacks_compiler(place: Compute) -> str:
    """What torch.compile lacks here, in words; empty where nothing is."""
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        return "there is no C compiler here"
    if place.device.type == "cuda" and not importlib.util.find_spec("triton"):
        return "Triton is not installed here"
    return ""
