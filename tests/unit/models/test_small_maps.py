"""Convolutions that leave one row or column are computed in float32 on CPUs."""

import copy

import pytest
import torch
from torch import nn

from consort.models.compute import Compute

BFLOAT16 = Compute(torch.device("cpu"), "bfloat16")


class PadsItself(nn.Conv2d):
    """As timm's Conv2dSame: its padding is not in the attribute."""

    def forward(self, x):
        rows, columns = ((-side % 2) + 1 for side in x.shape[2:])
        return super().forward(nn.functional.pad(x, (0, columns, 0, rows)))


def passed(convolution, x, compute):
    """Output, gradients for weights and input of a forward and a backward pass."""
    x = x.clone().requires_grad_()
    with compute.autocast():
        out = convolution(x)
    out.float().square().sum().backward()
    return out, convolution.weight.grad, x.grad


@pytest.mark.parametrize(("convolution", "side"), [
    (nn.Conv2d(64, 64, 3, 2, 1), 1), (nn.Conv2d(16, 32, 5, 2, 2, groups=4), 1), (nn.Conv2d(16, 32, 4, 4), 4),
    (nn.Conv2d(8, 8, 3, padding="same"), 1), (nn.Conv2d(8, 8, 3, 2, 2, 2), 1), (PadsItself(8, 8, 3, 2), 1),
    (nn.Conv2d(16, 16, 2, 2, 1, groups=4), (8, 1))])
def test_what_leaves_one_row_or_column_is_exact(convolution, side):
    height, width = side if isinstance(side, tuple) else (side, side)
    x = torch.randn(8, convolution.in_channels, height, width)
    exact = passed(copy.deepcopy(convolution), x, Compute(torch.device("cpu"), "float32"))
    placed = passed(BFLOAT16.place(copy.deepcopy(convolution)), x, BFLOAT16)
    assert placed[0].dtype == torch.bfloat16 and torch.equal(placed[0], exact[0].bfloat16())
    for got, true in zip(placed[1:], exact[1:], strict=True):
        torch.testing.assert_close(got, true, rtol=0.02, atol=0.02 * float(true.abs().max()))


@pytest.mark.parametrize("convolution", [nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(16, 32, 4, 4), nn.Conv2d(16, 32, 1)])
def test_all_other_convolutions_stay_as_they_were(convolution):
    x = torch.randn(8, 16, 8, 8).to(memory_format=torch.channels_last)
    plain = copy.deepcopy(convolution).to(memory_format=torch.channels_last)
    for got, before in zip(passed(BFLOAT16.place(convolution), x, BFLOAT16), passed(plain, x, BFLOAT16), strict=True):
        assert torch.equal(got, before)


def test_placing_changes_neither_names_nor_kind_and_can_be_repeated_and_copied():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 1))
    names = list(network.state_dict())
    again = copy.deepcopy(BFLOAT16.place(BFLOAT16.place(network)))
    assert list(again.state_dict()) == names and type(again[1]) is nn.Conv2d
    assert isinstance(again[0], nn.Conv2d) and repr(again) == repr(network)
    x = torch.randn(2, 3, 1, 1)
    with BFLOAT16.autocast():
        assert torch.equal(again(x), network(x))


def test_in_float32_nothing_is_touched():
    convolution = Compute(torch.device("cpu"), "float32").place(nn.Conv2d(3, 8, 3))
    assert type(convolution) is nn.Conv2d
