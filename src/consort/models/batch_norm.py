"""Batch normalisation in training: over the global batch of several processes, and without a counter of its own."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum of every process's tensor. Each process's loss sees all of them, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose statistics in training are those of all processes' images together.

    torch's SyncBatchNorm does the same on GPUs only; this one reduces sums through a differentiable all-reduce, so
    that two processes with half the batch each give one process's result up to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)
        sums = torch.cat([values.sum((0, 2, 3)), values.square().sum((0, 2, 3)), count])
        sums = _SumOverProcesses.apply(sums)
        total, squares, n = sums.split([x.shape[1], x.shape[1], 1])
        mean = total / n
        variance = (squares / n - mean.square()).clamp(min=0)
        self._update_running(mean.detach(), (variance * n / (n - 1)).detach())
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.weight is not None:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = (1, -1, 1, 1)
        return (values * scale.view(shape) + shift.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def share_statistics(network: nn.Module) -> nn.Module:
    """Make every BatchNorm2d of the network normalise over the global batch, in place; names of weights stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
    return network


class UncountedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d that leaves it to others to count its batches, which only the state that is saved tells of."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        assert self.momentum is not None
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum,
                            self.eps)


def uncounted(network: nn.Module) -> list[Tensor]:
    """Let the network's BatchNorm2d leave their counters alone, in place; the counters, to be raised all at once: by
    itself each is a launch on a GPU. Names of weights stay."""
    counters = []
    for module in network.modules():
        if type(module) is nn.BatchNorm2d and module.momentum is not None and module.num_batches_tracked is not None:
            module.__class__ = UncountedBatchNorm2d
            counters.append(module.num_batches_tracked)
    return counters
