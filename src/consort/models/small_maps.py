"""Convolutions that leave one row or column of an image: in float32 on CPUs, whatever the format of the rest.

oneDNN's bfloat16 kernels compute some of them wrongly: the gradient for the weights of a strided convolution with
"same" padding over maps of one pixel, row or column is memory that nobody wrote, and so is a part of what a 4x4
convolution with stride 4 gives for 4x4 images. `benchmarks/bfloat16_convolutions.py` looks for such shapes. They cost
next to nothing, so all that leave one row or column are computed in float32.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


def small_maps_in_float32(network: nn.Module) -> None:
    """Make the network's convolutions of more than one pixel do so under autocast on a CPU, in place; names of weights
    stay."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1 and not isinstance(module, _Careful):
            kind: Any = type(module)
            module.__class__ = _careful(kind)


class _Careful:
    """What `_careful` makes."""


@cache
def _careful(kind: Any) -> Any:
    """The same convolution, but in float32 where it leaves one row or column."""

    class Careful(_Careful, kind):
        def forward(self, x: Tensor) -> Tensor:
            if not torch.is_autocast_enabled("cpu") or x.device.type != "cpu" or not _leaves_one(self, x):
                return super().forward(x)
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))

    Careful.__name__ = Careful.__qualname__ = kind.__name__
    return Careful


def _leaves_one(convolution: nn.Conv2d, x: Tensor) -> bool:
    """Whether the output has one row or column (or none by this count: some subclasses pad by themselves)."""
    if isinstance(convolution.padding, str):
        padding = [d * (k - 1) for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)] \
            if convolution.padding == "same" else [0, 0]
    else:
        padding = [2 * p for p in convolution.padding]
    return any((size + p - d * (k - 1) - 1) // s < 1 for size, p, d, k, s in zip(
        x.shape[2:], padding, convolution.dilation, convolution.kernel_size, convolution.stride, strict=True))
