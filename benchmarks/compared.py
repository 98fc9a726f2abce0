"""What Consort's training is compared with: the loop that a user would write, and the convolutions of a step alone."""

from collections.abc import Callable, Generator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from consort.models import cuda_graphs
from consort.models.compute import Compute
from consort.models.families import build

Step = Callable[[], None]
SIDE = 32
"""Of the images."""


class Pictures(Dataset):
    """32x32 pictures as PIL images, with a transform: what torchvision's CIFAR10 class does."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable | None = None) -> None:
        self.images, self.labels = images, labels
        self.transform = transform or transforms.Compose([
            transforms.RandomCrop(SIDE, 4, padding_mode="reflect"), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def forever(loader: DataLoader) -> Generator:
    """Batch after batch; closed, it ends the loader's processes."""
    while True:
        yield from loader


def plain_step(architecture: str, batches: Generator, place: Compute) -> Step:
    """A step of a plain loop, in float32 and torch's own layout, or in bfloat16 and channels-last."""
    bfloat16 = place.precision == "bfloat16"
    network = build(architecture, 10).to(place.device).train()
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def step() -> None:
        x, y = (part.to(place.device, non_blocking=True) for part in next(batches))
        optimiser.zero_grad()
        with place.autocast():
            scores = network(x)
        F.cross_entropy(scores.float(), y).backward()
        optimiser.step()
    return step


def convolutions_step(architecture: str, batch: int, place: Compute) -> Step:
    """Every convolution of the network on inputs of its shape, forward and backward, channels-last, nothing else."""
    dtype = torch.bfloat16 if place.precision == "bfloat16" else torch.float32
    calls: list[tuple] = []

    def as_trained(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(place.device, dtype).to(memory_format=torch.channels_last)

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        x, gradient = (as_trained(torch.randn(batch, *shape[1:])) for shape in (inputs[0].shape, output.shape))
        weight = as_trained(module.weight.detach()).requires_grad_()
        first = module.in_channels == 3  # the images themselves need no gradient
        calls.append((x.requires_grad_(not first), weight, module.stride, module.padding, gradient))

    network = build(architecture, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    network(torch.randn(2, 3, SIDE, SIDE))

    def step() -> None:
        for x, weight, stride, padding, gradient in calls:
            wanted = (x, weight) if x.requires_grad else (weight,)
            torch.autograd.grad(F.conv2d(x, weight, None, stride, padding), wanted, gradient)
    return step


def as_graph(step: Step, device: torch.device) -> Step:
    """The step as one CUDA graph, which reads what the step holds: keep the step while it is replayed."""
    cuda_graphs.warm_up(step, device)
    return cuda_graphs.capture([step], device).replay
