"""Multiply-adds and parameters of a network, counted by operator on the meta device: no weights, no arithmetic.

Convention: MACs are multiply-adds of convolutions, linear layers and matrix products; FLOPs = 2 x MACs. This is how
the EfficientNet and MnasNet papers count ("FLOPS" there are multiply-adds). Normalisation, activations, pooling and
additions are not counted; `Cost.uncounted` lists them with the number of elements that they produce.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from consort.costs.conditions import size_text
from consort.errors import InputError
from consort.models.families import build, published


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass of one image."""

    name: str
    input: str
    """Height x width."""
    classes: int
    macs: int
    params: int
    layers: dict[str, int] = field(default_factory=dict)
    """Module path -> MACs of the operators directly in it, in order of execution."""
    uncounted: dict[str, int] = field(default_factory=dict)
    """Operator -> elements that it produced, for every operator that computes and was not counted."""

    @property
    def flops(self) -> int:
        return 2 * self.macs


_MOVES_DATA = {"view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze",
               "split", "split_with_sizes", "chunk", "detach", "alias", "clone", "copy_", "_to_copy", "empty", "cat",
               "unbind", "as_strided", "reshape", "flatten", "contiguous", "roll", "constant_pad_nd", "zeros", "ones",
               "arange", "full", "stack", "lift_fresh", "empty_like", "zeros_like", "ones_like", "index", "unflatten",
               "narrow", "new_zeros", "new_empty", "fill_", "meshgrid", "pixel_unshuffle", "pad", "dropout"}
"""Operators that move or allocate without computing."""


class _Counter(TorchDispatchMode):
    """Counts multiply-adds of every operator that torch's registry has a formula for; names the others."""

    def __init__(self, tracker: ModuleTracker) -> None:
        super().__init__()
        self.tracker = tracker
        self.layers: dict[str, int] = defaultdict(int)
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        formula: Callable[..., int] | None = flop_registry.get(packet)
        if formula is not None:
            flops = formula(*args, **(kwargs or {}), out_val=out)
            self.layers[self._layer()] += flops // 2
        elif packet.__name__ not in _MOVES_DATA:
            first = out[0] if isinstance(out, tuple | list) else out
            self.uncounted[packet.__name__] += first.numel() if isinstance(first, torch.Tensor) else 0
        return out

    def _layer(self) -> str:
        return max(self.tracker.parents - {"Global"}, key=lambda path: path.count("."), default="Global")


def count(name: str, input_size: int | tuple[int, int] | None = None, classes: int | None = None) -> Cost:
    """The cost of an architecture, by default at the input size and classes that it was published with.

    Raises InputError for an unknown name, or an input that the network cannot take.
    """
    default = published(name)
    size = input_size or default.input_size
    height, width = (size, size) if isinstance(size, int) else size
    classes = classes or default.classes
    network = build_without_weights(name, classes)
    return count_module(network, name, (height, width), classes)


class _EmptyOnMeta(TorchFunctionMode):
    """Memory that layers ask for is not taken; what a constructor computes with is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def build_without_weights(name: str, classes: int) -> nn.Module:
    """The network on the meta device: shapes without numbers."""
    try:
        with torch.device("meta"):
            return build(name, classes)
    except (RuntimeError, NotImplementedError):
        # A constructor that reads numbers back, such as those of RegNets for their widths.
        with _EmptyOnMeta():
            return build(name, classes).to("meta")


def count_module(network: nn.Module, name: str, size: tuple[int, int], classes: int) -> Cost:
    """The cost of a network that was built on the meta device; it cannot be trained afterwards."""
    height, width = size
    tracker = ModuleTracker()
    # The tracker asks for the gradient function of a parameter that is handed to a submodule, and finds none.
    network.eval().requires_grad_(False)
    try:
        with torch.no_grad(), tracker, _Counter(tracker) as counter:
            network(torch.empty(1, 3, height, width, device="meta"))
    except (RuntimeError, ValueError, AssertionError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise InputError(f"{name} cannot take an image of {height}x{width} pixels: {reason}.") from e
    params = sum(p.numel() for p in network.parameters())
    root = type(network).__name__
    layers = {path.removeprefix(f"{root}.") or root: macs for path, macs in counter.layers.items()}
    return Cost(name, size_text((height, width)), classes, sum(layers.values()), params, layers,
                dict(counter.uncounted.most_common()))
