"""Networks of stages, built from their names."""

import pytest
import torch

from consort.costs.macs import count
from consort.errors import InputError
from consort.models.families import build, check_name, published
from consort.models.staged import Depthwise, MBConv, Projection, StagedNetwork, WideBlock, block
from consort.space.networks import BLOCKS, Stage

SMALL = "net-s-w16d2k3-w32d2k3-w64d2k3"
LARGE = "net-l-m16d1k3e1-m24d3k3e3-q40d3k5e3-m80d4k3e6-q112d2k3e6-q160d3k5e6-m320d1k3e6"


def test_wide_stages_are_the_wide_residual_network_of_their_size():
    cost = count(SMALL)
    assert (cost.macs, cost.params) == (26_657_408, 175_066)
    assert (cost.macs, cost.params) == (count("wrn-16-1").macs, count("wrn-16-1").params)


def test_the_large_skeleton_at_224_pixels_costs_what_mnasnet_costs():
    """MnasNet-A1 has 312 million multiply-adds and 3.9 million parameters; its first stage has no expansion either."""
    cost = count(LARGE)
    assert cost.input == "224x224"
    assert cost.macs == pytest.approx(312e6, rel=0.1)
    assert cost.params == pytest.approx(3.9e6, rel=0.1)


@pytest.mark.parametrize("name", ["net-s-w8d1k3-w8d1k3-w8d1k3", LARGE])
def test_cost_grows_with_the_image(name):
    small, large = (count(name, side).macs for side in (32, 224))
    assert 35 < large / small < 50  # 49 times the pixels; the classifier and the gates stay


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(("stride", "first"), [(2, True), (1, False)])
def test_a_block_has_the_shape_of_its_stage_and_every_weight_a_gradient(kind, skip, stride, first):
    stage = Stage(kind, 8, 2, 5, 2, skip)
    made = block(6 if first else 8, stage, stride, first)
    out = made(torch.randn(2, 6 if first else 8, 9, 9, requires_grad=True))
    assert out.shape == (2, 8, 9 if stride == 1 else 5, 9 if stride == 1 else 5)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize("channels_in", [1, 3, 4, 6, 8, 12, 16, 20])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_projection_has_the_same_gradients_in_either_layout(channels_in, stride):
    """On processors with AVX2, oneDNN writes past its memory in the gradient of a narrow one (its issue 6035)."""
    torch.manual_seed(0)
    plain = Projection(channels_in, 8, stride)
    images = torch.randn(32, channels_in, 16, 16, requires_grad=True)
    upstream = torch.randn(plain(images).shape)
    expected = torch.nn.functional.conv2d(images.double(), plain.weight.double(), stride=stride)
    wanted = torch.autograd.grad(expected, [images, plain.weight], upstream.double())
    for layout in (torch.contiguous_format, torch.channels_last):
        out = plain.to(memory_format=layout)(images.contiguous(memory_format=layout))
        torch.testing.assert_close(out, expected.float(), rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            torch.testing.assert_close(plain(images), out)
        for _ in range(20):  # what is written past a memory's end is not always missed
            got = torch.autograd.grad(out, [images, plain.weight], upstream.contiguous(memory_format=layout),
                                      retain_graph=True)
        torch.testing.assert_close(got, tuple(g.float() for g in wanted), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stage", ["w8d2k3", "w8d2k5n", "m8d2k7e1", "m8d2k3e3n", "q8d2k5e2"])
def test_a_network_scores_every_class_and_learns(stage):
    torch.manual_seed(0)
    network = build(f"net-s-{stage}-{stage}-{stage}", 7)
    images, labels = torch.randn(4, 3, 16, 16), torch.arange(4)
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert network.eval()(images).shape == (4, 7)


@pytest.mark.parametrize("kind", [WideBlock, MBConv])
def test_without_skip_nothing_is_added(kind):
    name = {WideBlock: "wide", MBConv: "mbconv"}[kind]
    for skip in (True, False):
        made = block(4, Stage(name, 4, 2, 3, 2, skip), 1, first=False).eval()
        assert isinstance(made, kind)
        for p in made.parameters():
            torch.nn.init.zeros_(p)
        x = torch.randn(2, 4, 5, 5)
        with torch.no_grad():
            assert torch.equal(made(x), x if skip else torch.zeros_like(x))


def test_squeeze_excitation_has_a_quarter_of_the_input_channels():
    plain, squeezed = (block(16, Stage(kind, 8, 1, 3, 2), 1, True) for kind in ("mbconv", "mbconv-se"))
    more = sum(p.numel() for p in squeezed.parameters()) - sum(p.numel() for p in plain.parameters())
    assert more == (32 * 4 + 4) + (4 * 32 + 32)


def test_depthwise_under_bfloat16_computes_in_float32_on_a_cpu():
    layer, x = Depthwise(4, 3, 1), torch.randn(1, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.bfloat16())
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, layer(x.bfloat16().float()).bfloat16())


def test_equal_seeds_give_equal_weights():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(torch.cat([p.flatten() for p in build(SMALL, 10).parameters()]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_names_are_answered_by_the_family():
    assert (published(SMALL).input_size, published(LARGE).input_size, published(LARGE).classes) == (32, 224, 1000)
    assert isinstance(build(SMALL, 10), StagedNetwork)


@pytest.mark.parametrize(("name", "rule"), [("net-", "begins with net-s-"), ("net-s-w8d1k3", "has 3 stages, got 1"),
                                            ("net-s-w8d1k3-w8d1k3-w8d1k9", "A stage is w<channels>")])
def test_a_name_that_cannot_be_read_is_refused_before_anything_is_built(name, rule):
    for ask in (check_name, published, count):
        with pytest.raises(InputError, match=rule):
            ask(name)
