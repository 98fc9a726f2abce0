"""Networks by name."""

import pytest
import torch
import torchvision

from consort.errors import InputError
from consort.models.families import Published, build, check_name, published
from consort.models.wide_resnet import Block, WideResNet


@pytest.mark.parametrize("name", ["wrn-10-1", "wrn-16-2", "mobilenet_v2", "timm:resnet18"])
def test_network_gives_a_score_per_class(name):
    network = build(name, 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 2), (28, 4)])
def test_wide_resnet_has_the_depth_and_width_of_its_name(depth, width):
    with torch.device("meta"):
        network = build(f"wrn-{depth}-{width}", 10)
    assert isinstance(network, WideResNet)
    convolutions = [m for name, m in network.named_modules()
                    if isinstance(m, torch.nn.Conv2d) and "shortcut" not in name]
    assert len(convolutions) == depth - 3  # 6n in blocks and the stem: the 6n+1 of a depth of 6n+4
    assert network.classifier.in_features == 64 * width
    x = torch.empty(1, 3, 32, 32, device="meta")
    assert network.blocks(network.stem(x)).shape == (1, 64 * width, 8, 8)


def test_equal_seeds_give_equal_weights():
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(build("wrn-10-1", 10).stem.weight)
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])


def test_a_block_that_keeps_its_shape_adds_its_input():
    block = Block(4, 4, 1).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert block.shortcut is None
    with torch.no_grad():
        assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", ["wrn-12-1", "wrn-4-1", "wrn-16-0", "wrn-0-0"])
def test_impossible_wide_resnet_states_the_rule(name):
    with pytest.raises(InputError, match=f"{name}: .*6n\\+4"):
        check_name(name)


def test_a_tag_of_timm_s_weights_is_refused_with_the_reason():
    with pytest.raises(InputError, match=r"names weights \(a1_in1k\).*trained here.*\"timm:resnet18\" = .*a1_in1k"):
        check_name("timm:resnet18.a1_in1k")
    check_name("timm:resnet18")
    assert build("timm:resnet18.a1_in1k", 3).fc.out_features == 3  # members of before can still predict


@pytest.mark.parametrize(("name", "near"), [("wrn-16", "wrn-16-1"), ("resnet5", "resnet50"), ("WRN-16-1", "wrn-"),
                                            ("efficientnet-b0", "efficientnet_b0"), ("", "wrn-<depth>-<width>")])
def test_unknown_name_lists_near_ones(name, near):
    with pytest.raises(InputError, match="unknown architecture") as raised:
        check_name(name)
    assert near in str(raised.value)


def test_unknown_timm_name_lists_near_ones():
    check_name("timm:resnet18")
    with pytest.raises(InputError, match=r"unknown timm model 'resnet18x': did you mean .*resnet18"):
        build("timm:resnet18x", 10)


@pytest.mark.parametrize(("name", "expected"), [
    ("wrn-16-4", Published(32, 10)), ("resnet50", Published(224, 1000)), ("efficientnet_b0", Published(224, 1000)),
    ("efficientnet_b2", Published(260, 1000)), ("efficientnet_b7", Published(600, 1000)),
    ("inception_v3", Published(299, 1000)), ("timm:efficientnet_b0", Published(224, 1000)),
    ("timm:tf_efficientnet_b5", Published(456, 1000)), ("timm:vit_base_patch16_384", Published(384, 1000))])
def test_published_input_and_classes(name, expected):
    assert published(name) == expected


def test_every_classification_network_of_torchvision_has_a_name_here():
    for name in torchvision.models.list_models(module=torchvision.models):
        check_name(name)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_outputs_give_one(name):
    with torch.device("meta"):
        network = build(name, 5).train()
    assert network(torch.empty(2, 3, 299, 299, device="meta")).shape == (2, 5)
