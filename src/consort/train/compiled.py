"""A network's forward pass by torch.compile, which is faster and never needed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from consort.models.compute import is_out_of_memory

Forward = Callable[..., Tensor]
MOST_COMPILED = 64
"""Kinds of networks that one process compiles."""


class Compiled:
    """Compiles when it is called first. Where that fails it goes on as it is written, and `error` says why: a compiler
    that is there may still lack something (Python's headers, a driver's library)."""

    def __init__(self, forward: Forward) -> None:
        import torch._dynamo  # takes seconds

        # Beyond the limit torch goes on without compiling, and in silence.
        torch._dynamo.config.recompile_limit = MOST_COMPILED
        self.forward, self.error = forward, ""
        self.run: Forward = torch.compile(forward, dynamic=False)
        self.called = False

    def __call__(self, *inputs: object) -> Tensor:
        if self.called:
            return self.run(*inputs)
        try:
            with _backward_too():
                scores = self.run(*inputs)
        except Exception as e:  # its parts raise errors of their own, down to those of a missing file
            if isinstance(e, RuntimeError) and is_out_of_memory(e):
                raise
            lines = str(e).strip().splitlines()
            self.error = next((line for line in lines if not line.endswith("raised:")), type(e).__name__)
            self.run = self.forward
            scores = self.forward(*inputs)
        self.called = True
        return scores


def _backward_too() -> AbstractContextManager:
    """While it lasts torch compiles a backward pass with its forward pass, where its version can: by itself it would
    when the first gradients are asked for, and nobody there goes on without."""
    import torch._functorch.config as functorch

    if not hasattr(functorch, "force_non_lazy_backward_lowering"):
        return nullcontext()
    found: AbstractContextManager = functorch.patch(force_non_lazy_backward_lowering=True)
    return found
