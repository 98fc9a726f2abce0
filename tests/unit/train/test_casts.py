"""What makes a step few launches on a GPU changes no bits: weights cast together, counters raised together."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from consort.models.batch_norm import uncounted
from consort.models.families import build
from consort.train.casts import Casts
from consort.train.state import _move_towards


def network() -> nn.Module:
    torch.manual_seed(3)
    return build("wrn-10-1", 10).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]


def batches(number: int) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [(torch.randn(8, 3, 8, 8, generator=random).to(memory_format=torch.channels_last),
             torch.randint(0, 10, (8,), generator=random)) for _ in range(number)]


def trained(of: nn.Module, casts: Casts | None) -> dict[str, Tensor]:
    """The state after three steps in bfloat16."""
    optimiser = torch.optim.SGD(of.parameters(), 0.1, momentum=0.9)
    for x, y in batches(3):
        with torch.autocast("cpu", torch.bfloat16):
            scores = (casts or of)(x)
        optimiser.zero_grad()
        F.cross_entropy(scores.float(), y).backward()
        if casts is not None:
            casts.give_gradients()
            assert all(cast.grad is None for cast in casts.casts.values())
        optimiser.step()
    return of.state_dict()


def test_weights_that_are_cast_together_train_to_the_bits_of_autocast() -> None:
    one, other = network(), network()
    casts = Casts(other)
    convolutions_and_classifier = sum(type(m) in (nn.Conv2d, nn.Linear) for m in other.modules())
    assert len(casts.casts) == convolutions_and_classifier
    whole, together = trained(one, None), trained(other, casts)
    assert whole.keys() == together.keys() and all(torch.equal(whole[name], together[name]) for name in whole)


def test_they_are_the_same_where_the_forward_pass_is_compiled_and_members_share_it() -> None:
    compiled: list[object] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        compiled.append(graph)
        return graph

    for _ in range(2):
        one, other = network(), network()
        casts = Casts(other, lambda forward: torch.compile(forward, backend=backend, dynamic=False))
        whole, together = trained(one, Casts(one)), trained(other, casts)
        assert all(torch.equal(whole[name], together[name]) for name in whole)
    assert len(compiled) == 1


def test_a_layer_that_is_not_used_gets_no_gradient_and_a_shared_weight_is_cast_once() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.again, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.again.weight = self.used.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.again(self.used(x))

    torch.manual_seed(0)
    odd, x = Odd(), torch.randn(3, 4)
    casts = Casts(odd)
    assert len(casts.casts) == 2
    with torch.autocast("cpu", torch.bfloat16):
        casts(x).sum().backward()
    casts.give_gradients()
    found = odd.used.weight.grad
    odd.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        odd(x).sum().backward()
    assert odd.unused.weight.grad is None and found is not None and torch.equal(found, odd.used.weight.grad)


def test_batch_normalisation_whose_counter_is_raised_outside_is_the_same() -> None:
    one, other = network(), network()
    counters = uncounted(other)
    assert len(counters) == sum(isinstance(m, nn.BatchNorm2d) for m in other.modules())
    for x, _ in batches(2):
        assert torch.equal(one(x), other(x))
        torch._foreach_add_(counters, 1)
    states = one.state_dict(), other.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(counter == 2 for counter in counters)
    x, _ = batches(1)[0]
    assert torch.equal(one.eval()(x), other.eval()(x))
    others = nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(3, track_running_stats=False)
    assert uncounted(nn.Sequential(*others)) == []


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_an_average_whose_share_lies_on_the_device_moves_as_one_whose_share_is_a_number(share: float) -> None:
    newer = network()
    older = build("wrn-10-1", 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    newer(batches(1)[0][0])
    by_number, by_tensor = copy.deepcopy(older), copy.deepcopy(older)
    _move_towards(by_number, newer, share)
    _move_towards(by_tensor, newer, torch.tensor(share))
    for name, moved in by_tensor.state_dict().items():
        expected = older.state_dict()[name].lerp(newer.state_dict()[name], share) if moved.is_floating_point() \
            and "running" not in name else newer.state_dict()[name]
        assert torch.allclose(moved, by_number.state_dict()[name], atol=1e-6)
        assert torch.allclose(moved, expected, atol=1e-6)
    assert by_tensor.state_dict()["norm.num_batches_tracked"] == 1
