"""Convolutions that this CPU computes wrongly in bfloat16, plain and as networks are run (`Compute.place`).

    python benchmarks/bfloat16_convolutions.py [--short]

Each shape is run three times over memory that was filled with NaN before, since what is wrong is most often memory that
nobody wrote; the largest error of the output and of both gradients is held against float64. Prints the wrong shapes and
how many there are; the exit code is 1 where a placed convolution is wrong.
"""

import argparse
import copy
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from consort.models.compute import Compute

BATCH, REPEATS = 8, 3
WRONG = 0.05
"""Of the largest true value: bfloat16 has 8 bits, so what is right differs by a hundredth at most."""


@dataclass(frozen=True)
class Shape:
    """One convolution over one map; padding is half the kernel ("same") or none."""

    height: int
    width: int
    kernel: int
    stride: int
    same: bool
    channels_in: int
    channels: int
    groups: int
    channels_last: bool

    def possible(self) -> bool:
        divides = self.channels_in % self.groups == 0 and self.channels % self.groups == 0
        return divides and min(self.height, self.width) + self.same * 2 * (self.kernel // 2) >= self.kernel


def shapes(short: bool) -> Iterator[Shape]:
    """All, or those of the kinds in which something was wrong."""
    if short:
        maps, kernels, strides, widths = [(1, 1), (4, 4)], [3, 4], [2, 4], [(16, 32), (64, 64)]
    else:
        maps = [(1, 1), (2, 2), (3, 3), (4, 4), (7, 7), (8, 8), (1, 2), (2, 1), (1, 4), (8, 1)]
        kernels, strides, widths = [1, 2, 3, 4, 5, 7], [1, 2, 4], [(3, 16), (3, 64), (16, 32), (24, 48), (64, 64)]
    for (h, w), k, s, same, (i, o), last in itertools.product(maps, kernels, strides, (True, False), widths,
                                                              (True, False)):
        for groups, outputs in ((1, o), (4, o), (i, i)):
            shape = Shape(h, w, k, s, same, i, outputs, groups, last)
            if shape.possible():
                yield shape


def errors(shape: Shape, placed: bool) -> dict[str, float]:
    """The largest error of the output and of the gradients, as shares of the largest true value."""
    torch.manual_seed(0)
    module = nn.Conv2d(shape.channels_in, shape.channels, shape.kernel, shape.stride,
                       shape.kernel // 2 if shape.same else 0, groups=shape.groups, bias=False)
    layout = torch.channels_last if shape.channels_last else torch.contiguous_format
    x = torch.randn(BATCH, shape.channels_in, shape.height, shape.width).bfloat16()
    with torch.no_grad():
        module.weight.copy_(module.weight.bfloat16())
    gradient = torch.randn(module(x.float()).shape).bfloat16()
    truth = _in_float64(module, x, gradient)
    compute = Compute(torch.device("cpu"), "bfloat16")
    place = compute.place(module) if placed else module.to(memory_format=layout)
    worst = {"output": 0.0, "weights' gradient": 0.0, "input's gradient": 0.0}
    for _ in range(REPEATS):
        spoilt = [torch.full((50_000,), float("nan")) for _ in range(8)]
        del spoilt
        values = x.clone().to(memory_format=layout).requires_grad_()
        place.weight.grad = None
        with compute.autocast():
            out = place(values)
        out.backward(gradient.to(out.dtype))
        assert values.grad is not None and place.weight.grad is not None
        for name, got, true in zip(worst, (out, place.weight.grad, values.grad), truth, strict=True):
            off = (got.detach().double() - true).abs().nan_to_num(nan=float("inf")).max() / true.abs().max()
            worst[name] = max(worst[name], float(off))
    return worst


def _in_float64(module: nn.Conv2d, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient for the weights, gradient for the input."""
    exact = copy.deepcopy(module).double()
    values = x.double().requires_grad_()
    out = exact(values)
    out.backward(gradient.double())
    assert exact.weight.grad is not None and values.grad is not None
    return out.detach(), exact.weight.grad, values.grad


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    number, wrong = 0, {"plain": 0, "placed": 0}
    for shape in shapes(arguments.short):
        number += 1
        for name, placed in (("plain", False), ("placed", True)):
            bad = {what: round(value, 3) for what, value in errors(shape, placed).items() if value > WRONG}
            if bad:
                wrong[name] += 1
                print(f"{name:6} {shape} {bad}", flush=True)
    print(f"{number} convolutions; wrong in bfloat16: {wrong['plain']} plain, {wrong['placed']} as networks are run")
    return 1 if wrong["placed"] else 0


if __name__ == "__main__":
    sys.exit(main())
