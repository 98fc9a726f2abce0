"""Wide residual networks for small images, pre-activation (Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from consort.models.names import wide_resnet


def names() -> list[str]:
    """The sizes of the literature; any depth 6n+4 and any width can be built."""
    return [f"wrn-{depth}-{width}" for depth in (10, 16, 22, 28, 40) for width in (1, 2, 4, 8, 10)]


def answers_to(name: str) -> bool:
    return wide_resnet(name) is not None


def published(name: str) -> tuple[int, int]:
    return 32, 10


def build(name: str, classes: int) -> nn.Module:
    size = wide_resnet(name)
    assert size is not None
    return WideResNet(*size, classes)


class Block(nn.Module):
    """BN-ReLU-conv3x3-BN-ReLU-conv3x3 plus the input, which a 1x1 convolution projects where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        same = channels_in == channels and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x), inplace=True)
        residual = x if self.shortcut is None else self.shortcut(h)
        h = F.relu(self.norm2(self.conv1(h)), inplace=True)
        return residual + self.conv2(h)


class WideResNet(nn.Module):
    """Three groups of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` channels."""

    def __init__(self, depth: int, width: int, classes: int) -> None:
        super().__init__()
        channels = 16
        self.stem = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        blocks = []
        for group, base in enumerate((16, 32, 64)):
            for index in range((depth - 4) // 6):
                stride = 2 if group > 0 and index == 0 else 1
                blocks.append(Block(channels, base * width, stride))
                channels = base * width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks(self.stem(x))
        h = F.relu(self.norm(h), inplace=True)
        return self.classifier(h.mean((2, 3)))
