"""Multiply-adds and parameters: against published figures and against closed forms."""

import pytest
import torch
from torch import Tensor, nn

from consort.costs.macs import Cost, build_without_weights, count, count_module
from consort.errors import InputError
from consort.models.wide_resnet import Block

PUBLISHED = [
    # name, input, parameters, multiply-adds in millions; convolutions and linear layers only.
    # Zagoruyko and Komodakis 2016 and the tables of imgclsmob (which add 0.07 % for normalisation), 32x32 pixels.
    ("wrn-16-1", 32, 175_066, 26.657),
    ("wrn-16-2", 32, 691_674, 101.107),
    ("wrn-16-4", 32, 2_748_890, 392.612),
    ("wrn-16-8", 32, 10_961_370, 1_548.146),
    ("wrn-28-10", 32, 36_479_194, 5_243.329),
    ("wrn-40-1", 32, 563_930, 83.281),
    ("wrn-40-2", 32, 2_243_546, 327.599),
    # Tan and Le 2019 (arXiv 1905.11946), table 2, to the digits of torchvision's and timm's own counts.
    ("efficientnet_b0", 224, 5_288_548, 385.8),
    ("efficientnet_b1", 240, 7_794_184, 686.8),
    ("efficientnet_b2", 260, 9_109_994, 993.6),
    ("efficientnet_b5", 456, 30_389_784, 10_266.4),
    # Tan et al. 2019 (arXiv 1807.11626), Sandler et al. 2018, He et al. 2016.
    ("timm:semnasnet_100", 224, 3_887_038, 311.6),
    ("mnasnet1_0", 224, 4_383_312, 314.4),
    ("mobilenet_v2", 224, 3_504_872, 300.8),
    ("resnet50", 224, 25_557_032, 4_089.2),
    ("resnet18", 224, 11_689_512, 1_814.1),
]


@pytest.mark.parametrize(("name", "size", "params", "million_macs"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_published_figures(name, size, params, million_macs):
    cost = count(name)
    assert cost.input == f"{size}x{size}"
    assert cost.params == params
    assert cost.macs == pytest.approx(million_macs * 1e6, rel=1e-3)
    assert cost.flops == 2 * cost.macs
    assert sum(cost.layers.values()) == cost.macs
    assert not any("conv" in operator or "mm" in operator for operator in cost.uncounted)


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 4), (22, 2)])
def test_wide_resnet_by_hand(depth, width):
    blocks = (depth - 4) // 6
    macs, params, channels = 32 * 32 * 9 * 3 * 16, 9 * 3 * 16, 16
    for base, area in ((16, 32 * 32), (32, 16 * 16), (64, 8 * 8)):
        for index in range(blocks):
            out = base * width
            weights = 9 * channels * out + 9 * out * out
            if index == 0 and (channels != out or base > 16):
                weights += channels * out
            macs += weights * area
            params += weights + 2 * channels + 2 * out
            channels = out
    cost = count(f"wrn-{depth}-{width}", 32, 10)
    assert cost.macs == macs + channels * 10
    assert cost.params == params + 2 * channels + channels * 10 + 10


def of(layer: nn.Module, size: tuple[int, int] = (12, 9)) -> Cost:
    with torch.device("meta"):
        network = layer.to("meta")
    return count_module(network, "layer", size, 1)


@pytest.mark.parametrize("kernel", [1, 3, (3, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (6, 3)])
def test_convolution_in_closed_form(kernel, stride, padding, channels, groups):
    kernel_height, kernel_width = (kernel, kernel) if isinstance(kernel, int) else kernel
    height = (12 + 2 * padding - kernel_height) // stride + 1
    width = (9 + 2 * padding - kernel_width) // stride + 1
    weights = kernel_height * kernel_width * (3 // groups) * channels
    cost = of(nn.Conv2d(3, channels, kernel, stride, padding, groups=groups))
    assert cost.macs == height * width * weights
    assert cost.params == weights + channels


def test_linear_in_closed_form():
    cost = of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 9, 7)))
    assert cost.macs == 3 * 12 * 9 * 7
    assert cost.params == 3 * 12 * 9 * 7 + 7
    assert cost.layers == {"1": 3 * 12 * 9 * 7}


def test_residual_block_in_closed_form():
    cost = of(Block(3, 16, 2), (12, 8))
    area = 6 * 4
    by_layer = {"shortcut": area * 3 * 16, "conv1": area * 9 * 3 * 16, "conv2": area * 9 * 16 * 16}
    assert cost.layers == by_layer
    assert cost.macs == sum(by_layer.values())
    assert cost.params == 3 * 16 + 9 * 3 * 16 + 9 * 16 * 16 + 2 * 3 + 2 * 16


class Product(nn.Module):
    """A matrix product outside of any layer, as attention has them."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2) @ x.flatten(2).transpose(1, 2)


def test_matrix_product_in_closed_form():
    assert of(Product()).macs == 3 * 3 * (12 * 9)


def test_uncounted_operators_are_listed_with_their_elements():
    cost = of(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(3)))
    elements = 4 * 12 * 9
    norm, = (operator for operator in cost.uncounted if "batch_norm" in operator)  # its name varies with torch
    assert cost.uncounted == {norm: elements, "relu": elements, "avg_pool2d": elements // 9}
    assert cost.macs == 12 * 9 * 27 * 4


def test_layers_are_named_by_their_path():
    layers = count("wrn-10-2", 32, 10).layers
    assert list(layers) == ["stem", "blocks.0.shortcut", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.shortcut",
                            "blocks.1.conv1", "blocks.1.conv2", "blocks.2.shortcut", "blocks.2.conv1",
                            "blocks.2.conv2", "classifier"]
    assert layers["classifier"] == 128 * 10


def test_input_and_classes_can_be_chosen():
    default, chosen = count("wrn-16-1"), count("wrn-16-1", (64, 32), 100)
    assert (default.input, default.classes) == ("32x32", 10)
    assert (chosen.input, chosen.classes) == ("64x32", 100)
    assert chosen.macs - 64 * 100 == 2 * (default.macs - 64 * 10)


def test_unknown_name_lists_near_ones():
    with pytest.raises(InputError, match=r"unknown architecture 'efficientnet_b9': did you mean .*efficientnet_b"):
        count("efficientnet_b9")


@pytest.mark.parametrize(("name", "size"), [("efficientnet_b0", -3), ("resnet18", (0, 32)), ("inception_v3", 16),
                                            ("vit_b_16", 100)])
def test_input_that_the_network_cannot_take(name, size):
    with pytest.raises(InputError, match=rf"{name} cannot take an image of .* pixels: ."):
        count(name, size)


FAMILIES = ["alexnet", "convnext_tiny", "densenet121", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t",
            "mnasnet0_5", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnext50_32x4d",
            "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_32",
            "timm:cait_xxs24_224", "timm:coat_tiny", "timm:convit_tiny", "timm:crossvit_tiny_240", "timm:levit_128s",
            "timm:mixer_s32_224", "timm:pit_ti_224", "timm:pvt_v2_b0", "timm:swinv2_cr_tiny_224",
            "timm:tnt_s_patch16_224", "timm:vit_base_patch16_siglip_224", "timm:xcit_nano_12_p16_224"]
"""One of each family of torchvision, and those of timm that are built in ways of their own."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_each_family_is_counted(name):
    cost = count(name)
    assert cost.macs > 1e7 and cost.params > 1e6
    assert not [operator for operator in cost.uncounted if any(part in operator for part in ("conv", "mm", "matmul"))]


def test_a_parameter_that_is_handed_on_is_counted_where_it_is_used():
    class Querying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.layer = nn.Parameter(torch.zeros(5, 3, 4, 4)), nn.Conv2d(3, 7, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.query).mean((0, 2, 3)) + x.mean()

    cost = of(Querying())
    assert cost.layers == {"layer": 5 * 2 * 2 * 7 * 3 * 9}


def test_a_constructor_that_reads_numbers_back_takes_no_memory_for_weights():
    network = build_without_weights("regnet_y_400mf", 10)
    assert all(p.device.type == "meta" for p in [*network.parameters(), *network.buffers()])
    assert sum(p.numel() for p in network.parameters()) == count("regnet_y_400mf", 224, 10).params
