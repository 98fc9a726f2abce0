"""A network's weights in bfloat16, all cast at once.

Autocast casts them one by one, and each gradient back: two launches for every convolution, which is a sixth of what a
step of a small network on a GPU has. The bits are the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from consort.train.compiled import Forward


class Casts:
    """The weights of convolutions and linear layers of a network that trains under autocast in bfloat16."""

    def __init__(self, network: nn.Module, compiler: Callable[[Forward], Forward] | None = None) -> None:
        """compiler: of the network's forward pass, such as torch.compile; it would cast one by one too."""
        def forward(casts: dict[str, Tensor], x: Tensor) -> Tensor:
            scores: Tensor = functional_call(network, casts, (x,))
            return scores

        self.forward = forward if compiler is None else compiler(forward)
        named = {f"{name}.weight".lstrip("."): module.weight for name, module in network.named_modules()
                 if type(module) in (nn.Conv2d, nn.Linear) and module.weight.requires_grad}
        once = {id(weight): name for name, weight in named.items()}  # of weights that two layers share
        self.weights = {name: named[name] for name in once.values()}
        self.casts = {name: torch.empty_like(weight, dtype=torch.bfloat16).requires_grad_()
                      for name, weight in self.weights.items()}

    def __call__(self, x: Tensor) -> Tensor:
        """What the network makes of x, with its weights as they are now."""
        with torch.no_grad():
            torch._foreach_copy_(list(self.casts.values()), list(self.weights.values()))
        scores: Tensor = self.forward(self.casts, x)
        return scores

    @torch.no_grad()
    def give_gradients(self) -> None:
        """After a backward pass: the gradients of the casts become those of the weights."""
        found = {name: cast.grad for name, cast in self.casts.items() if cast.grad is not None}
        gradients = {name: torch.empty_like(self.weights[name]) for name in found}
        if found:
            torch._foreach_copy_(list(gradients.values()), list(found.values()))
        for name, gradient in gradients.items():
            self.weights[name].grad = gradient
        self.drop_gradients()

    def drop_gradients(self) -> None:
        for cast in self.casts.values():
            cast.grad = None
