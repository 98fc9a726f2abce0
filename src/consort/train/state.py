"""What a training changes, step by step: a network, its optimiser and its average. No files, no clocks."""

import copy
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from consort.members.spec import MemberSpec
from consort.models.batch_norm import share_statistics, uncounted
from consort.models.compute import Compute
from consort.models.families import build
from consort.train.casts import Casts
from consort.train.compiled import Compiled, Forward


class State:
    """The weights of one member as they are now, and what moves them."""

    def __init__(self, spec: MemberSpec, classes: int, compute: Compute, processes: int = 1,
                 compiled: bool = False) -> None:
        self.recipe, self.compute = spec.recipe, compute
        torch.manual_seed(spec.seed)
        self.network = compute.place(build(spec.architecture, classes))
        self.average = copy_of(self.network) if self.recipe.ema else None
        self.forward: Callable[[Tensor], Tensor] = self.network
        self.counters: list[Tensor] = []
        self.casts: Casts | None = None
        self.compiled: Compiled | None = None
        if processes > 1:
            self.network = share_statistics(self.network)
            self.forward = DistributedDataParallel(self.network)
        else:
            self.counters = uncounted(self.network)
            if compute.device.type == "cuda" and compute.precision == "bfloat16":
                self.forward = self.casts = Casts(self.network, self._compile if compiled else None)
            elif compiled:
                self.forward = self._compile(self.network)
        self.optimiser = _optimiser(self.network, self.recipe.weight_decay, self.recipe.momentum)
        self.share: float | Tensor = 0.0
        """What the average takes of the weights in the next step."""
        # A step that is replayed as a graph reads its learning rate, and the share, where they lie.
        self.pace = torch.zeros(2, device=compute.device) if compute.device.type == "cuda" else None
        if self.pace is not None:
            self.share = self.pace[1]
            self._keep_on_device(self.pace[0])

    def _compile(self, forward: Forward) -> Compiled:
        self.compiled = Compiled(forward)
        return self.compiled

    @property
    def compile_error(self) -> str:
        """Why the compiler failed; empty where it did not, or was not asked."""
        return self.compiled.error if self.compiled is not None else ""

    def _keep_on_device(self, rate: Tensor) -> None:
        """Let the optimiser read `rate`, and begin with a momentum of zeros: then its first step is like all others."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
            for parameter in group["params"] if self.recipe.momentum else ():
                self.optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def set_pace(self, rate: float, share: float) -> None:
        """The learning rate of the next step, and what the average takes of the weights after it."""
        if self.pace is not None:
            self.pace[0].fill_(rate)  # a copy would wait for all work that the GPU was given
            self.pace[1].fill_(share)
            return
        self.share = share
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def update(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of Nesterov SGD on one batch; the loss, on the device."""
        with self.compute.autocast():
            scores = self.forward(x)
        loss = F.cross_entropy(scores.float(), y, label_smoothing=self.recipe.label_smoothing)
        self.drop_gradients()
        loss.backward()
        if self.casts is not None:
            self.casts.give_gradients()
        if self.counters:
            torch._foreach_add_(self.counters, 1)
        self.optimiser.step()
        if self.average is not None:
            _move_towards(self.average, self.network, self.share)
        return loss.detach()

    def drop_gradients(self) -> None:
        """They hold memory, of a graph's own where the step was captured."""
        self.optimiser.zero_grad()
        if self.casts is not None:
            self.casts.drop_gradients()

    @property
    def result(self) -> nn.Module:
        """The network that is kept in the end."""
        return self.average if self.average is not None else self.network

    def tensors(self) -> dict[str, Tensor]:
        """All that a training goes on from: `model.*`, `momentum.*` and, where there is one, `ema.*`."""
        found = {f"model.{name}": t for name, t in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            buffer = self.optimiser.state[parameter].get("momentum_buffer")
            if buffer is not None:
                found[f"momentum.{name}"] = buffer
        if self.average is not None:
            found |= {f"ema.{name}": t for name, t in self.average.state_dict().items()}
        return found

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave, in place."""
        self.network.load_state_dict(_under(tensors, "model."))
        momentum = _under(tensors, "momentum.")
        for name, parameter in self.network.named_parameters():
            if name in momentum:
                state = self.optimiser.state[parameter]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.empty_like(parameter)
                state["momentum_buffer"].copy_(momentum[name])
        if self.average is not None:
            self.average.load_state_dict(_under(tensors, "ema."))


def _optimiser(network: nn.Module, weight_decay: float, momentum: float) -> torch.optim.SGD:
    """Nesterov SGD without weight decay on vectors: the parameters of normalisation layers, and biases."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=momentum > 0, fused=True)


def copy_of(network: nn.Module) -> nn.Module:
    """A copy that is not trained."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def _move_towards(average: nn.Module, network: nn.Module, share: float | Tensor) -> None:
    """average += share x (network - average), for weights; statistics of normalisation layers are copied."""
    weights: list[Tensor] = list(average.parameters())
    newer: list[Tensor] = list(network.parameters())
    if isinstance(share, Tensor):  # where launches count: few for all, not one for each
        steps = torch._foreach_sub(newer, weights)
        torch._foreach_mul_(steps, share)
        torch._foreach_add_(weights, steps)
    else:
        torch._foreach_lerp_(weights, newer, share)
    buffers = list(zip(average.buffers(), network.buffers(), strict=True))
    for kind in {kept.dtype for kept, _ in buffers}:
        torch._foreach_copy_([kept for kept, _ in buffers if kept.dtype == kind],
                             [new for kept, new in buffers if kept.dtype == kind])


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
