"""Compiling is never needed: a compiler that is there and fails costs its speed and a line, no training."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from consort.train.compiled import Compiled


def doubled(x: Tensor) -> Tensor:
    return x * 2


@pytest.mark.filterwarnings("default")  # importing torch's compiler warns of what it uses itself
def test_a_compiler_that_is_missing_after_all_leaves_the_network_as_it_is_written(monkeypatch, tmp_path) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing that was compiled before is found
    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/c++",))
    forward = Compiled(doubled)
    x = torch.randn(8, 8)
    assert torch.equal(forward(x), 2 * x) and "/nowhere/c++" in forward.error
    assert torch.equal(forward(x), 2 * x)


@pytest.mark.filterwarnings("default")
def test_a_backward_pass_that_cannot_be_compiled_is_no_error_either(monkeypatch) -> None:
    from torch._dynamo.backends.common import aot_autograd

    def fails(graph: torch.fx.GraphModule, inputs: list) -> Callable:
        raise RuntimeError("no backward pass today")

    backend = aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=fails)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    forward, x = Compiled(doubled), torch.ones(3, requires_grad=True)
    forward(x).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 2.0)) and "no backward pass today" in forward.error


def test_what_is_compiled_runs_and_is_compiled_once(monkeypatch) -> None:
    calls: list[str] = []

    def compiled(forward: object, dynamic: bool) -> object:
        return lambda x: calls.append("compiled") or doubled(x)

    monkeypatch.setattr(torch, "compile", compiled)
    forward = Compiled(doubled)
    assert [forward(torch.ones(())).item() for _ in range(2)] == [2, 2]
    assert calls == ["compiled"] * 2 and forward.error == ""


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), KeyboardInterrupt()])
def test_a_full_memory_and_an_interruption_are_no_fault_of_the_compiler(monkeypatch, error: BaseException) -> None:
    def fails(x: Tensor) -> Tensor:
        raise error

    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: fails)
    forward = Compiled(doubled)
    with pytest.raises(type(error)):
        forward(torch.ones(()))
    assert forward.error == ""
