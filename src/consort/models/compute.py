"""Where and in which number format a network runs."""

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
