"""Searched networks, `net-...`: a stem, stages of blocks, a classifier. `consort.space.networks` reads the names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from consort.space import networks
from consort.space.networks import MBCONV_SE, SKELETONS, WIDE, Stage

SQUEEZE = 4
"""Squeeze-excitation has a quarter of the block's input channels inside, as in EfficientNet (Tan and Le 2019)."""

BLOCK_CHANNELS = 16
"""The most channels that a block of oneDNN's layouts has."""


def names() -> list[str]:
    """One example of each skeleton; the names are too many to list."""
    return ["net-s-w16d2k3-w32d2k3-w64d2k3",
            "net-l-m16d1k3e1-m24d3k3e3-q40d3k5e3-m80d4k3e6-q112d2k3e6-q160d3k5e6-m320d1k3e6"]


def answers_to(name: str) -> bool:
    """Whether this is the name of a searched network; InputError for one that begins so and cannot be read."""
    return networks.is_name(name) and bool(networks.parse(name).stages)


def published(name: str) -> tuple[int, int]:
    skeleton = SKELETONS[networks.parse(name).skeleton]
    return skeleton.input_size, skeleton.classes


def build(name: str, classes: int) -> nn.Module:
    return StagedNetwork(networks.parse(name), classes)


class Projection(nn.Conv2d):
    """1x1 convolution of every stride-th pixel.

    Where a gradient will be asked for, a narrow input is thinned out first, which is slower and gives the same. The
    gradient for the weights that oneDNN computes in one go writes past its memory where the input has fewer channels
    than a block of its layout, 16 at most (oneDNN issue 6035): on processors with AVX2 alone the process crashes.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__(channels_in, channels, 1, stride, bias=False)
        self.thin = stride if channels_in < BLOCK_CHANNELS else 1

    def forward(self, x: Tensor) -> Tensor:
        if self.thin == 1 or not torch.is_grad_enabled():
            return super().forward(x)
        return F.conv2d(x[:, :, ::self.thin, ::self.thin], self.weight)


class WideBlock(nn.Module):
    """BN-ReLU-conv-BN-ReLU-conv plus the input, projected where the shape changes (Zagoruyko and Komodakis 2016)."""

    def __init__(self, channels_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        channels, side = stage.width, stage.kernel
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, side, stride, side // 2, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, side, 1, side // 2, bias=False)
        self.skip = stage.skip
        same = channels_in == channels and stride == 1
        self.shortcut = None if same or not self.skip else Projection(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x))
        out = self.conv2(F.relu(self.norm2(self.conv1(h)), inplace=True))
        if not self.skip:
            return out
        return out + (x if self.shortcut is None else self.shortcut(h))


class SqueezeExcitation(nn.Module):
    """Scales every channel by a gate that sees all of them (Hu et al. 2018)."""

    def __init__(self, channels: int, inside: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inside, 1)
        self.expand = nn.Conv2d(inside, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)), inplace=True))
        return x * gate.sigmoid()


class Depthwise(nn.Conv2d):
    """One filter per channel; in float32 on CPUs, whose bfloat16 kernels train it several times slower."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class MBConv(nn.Module):
    """1x1 expansion, depthwise convolution, perhaps squeeze-excitation, linear 1x1 projection (MnasNet, fig. 7).

    The input is added in blocks after a stage's first, which keep the shape.
    """

    def __init__(self, channels_in: int, stage: Stage, stride: int, first: bool) -> None:
        super().__init__()
        inside = channels_in * stage.expansion
        layers: list[nn.Module] = []
        if stage.expansion > 1:
            layers += [nn.Conv2d(channels_in, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU(inplace=True)]
        layers += [Depthwise(inside, stage.kernel, stride), nn.BatchNorm2d(inside), nn.ReLU(inplace=True)]
        if stage.block == MBCONV_SE:
            layers.append(SqueezeExcitation(inside, max(1, channels_in // SQUEEZE)))
        layers += [nn.Conv2d(inside, stage.width, 1, bias=False), nn.BatchNorm2d(stage.width)]
        self.layers = nn.Sequential(*layers)
        self.skip = stage.skip and not first

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


def block(channels_in: int, stage: Stage, stride: int, first: bool) -> nn.Module:
    """One block of a stage: its first one (with the stage's stride) or one of those after it."""
    if stage.block == WIDE:
        return WideBlock(channels_in, stage, stride)
    return MBConv(channels_in, stage, stride, first)


def stem(skeleton: str) -> nn.Module:
    common = SKELETONS[skeleton]
    return nn.Conv2d(3, common.stem_width, 3, common.stem_stride, 1, bias=False)


class Head(nn.Module):
    """BN-ReLU, perhaps a 1x1 convolution with the same after it, mean over the image, linear classifier."""

    def __init__(self, skeleton: str, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        if width := SKELETONS[skeleton].head_width:
            layers += [nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(width or channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.layers(x).mean((2, 3)))


class StagedNetwork(nn.Module):
    """float [N, 3, H, W] -> logits [N, classes]."""

    def __init__(self, network: networks.Network, classes: int) -> None:
        super().__init__()
        skeleton = SKELETONS[network.skeleton]
        self.stem = stem(network.skeleton)
        blocks, channels = [], skeleton.stem_width
        for stage, stride in zip(network.stages, skeleton.strides, strict=True):
            for index in range(stage.depth):
                blocks.append(block(channels, stage, stride if index == 0 else 1, index == 0))
                channels = stage.width
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(network.skeleton, channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))
