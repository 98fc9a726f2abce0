"""Weights that are cast once: a network computes what autocast makes it compute."""

import copy

import pytest
import torch
from torch import nn

from consort.models.compute import Compute, cast_weights
from consort.models.families import build


@pytest.mark.parametrize("name", ["wrn-10-1", "resnet18", "mobilenet_v3_small"])
def test_a_network_computes_the_same_bits_with_its_weights_cast_before(name: str) -> None:
    torch.manual_seed(0)
    place = Compute(torch.device("cpu"), "bfloat16")
    network = build(name, 10).eval()
    x = torch.randn(3, 3, 32, 32)
    once = copy.deepcopy(network)
    cast_weights(once)
    with torch.inference_mode(), place.autocast():
        assert torch.equal(network(x), once(x))
    formats = {parameter.dtype for module in once.modules() if isinstance(module, nn.Conv2d | nn.Linear)
               for parameter in module.parameters()}
    assert formats == {torch.bfloat16}
    assert network.state_dict().keys() == once.state_dict().keys()
