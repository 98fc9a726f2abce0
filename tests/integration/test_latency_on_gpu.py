"""Latencies on a GPU: what a graph computes, what cannot be captured, and members at the same time; never how fast."""

from dataclasses import replace

import pytest
import torch

from consort.costs import runtimes
from consort.costs.conditions import Conditions
from consort.costs.latency import find_or_measure, find_or_measure_at_once, measure
from consort.costs.stored import stored_together
from consort.errors import InputError
from consort.models import cuda_graphs
from consort.models.families import build
from consort.store.folder import FolderStore

pytestmark = pytest.mark.cuda
IN_GRAPH = Conditions((32, 32), 10, runtime="graph")
GPU = torch.device("cuda", 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_replay_computes_what_each_network_gives_alone(count: int) -> None:
    with torch.inference_mode():
        networks = [build("wrn-16-1", 10).to(GPU).eval() for _ in range(count)]
        images = [torch.randn(4, 3, 32, 32, device=GPU) for _ in networks]
        given = [torch.zeros(4, 10, device=GPU) for _ in networks]
        work = [lambda n=n, x=x, y=y: y.copy_(n(x)) for n, x, y in zip(networks, images, given, strict=True)]
        for _ in range(3):
            cuda_graphs.side_by_side(work, GPU)
        graph = cuda_graphs.capture(work, GPU)
        for x, y in zip(images, given, strict=True):
            x.copy_(torch.randn_like(x))
            y.zero_()
        graph.replay()
        torch.cuda.synchronize()
        for network, x, y in zip(networks, images, given, strict=True):
            torch.testing.assert_close(y, network(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_record_says_how_it_was_measured(precision: str) -> None:
    found = measure("wrn-16-1", replace(IN_GRAPH, batch_size=8, precision=precision), repeats=5)
    assert (found.runtime, found.device, found.precision, found.batch_size) == ("graph", "cuda", precision, 8)
    assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms


def test_auto_is_one_of_the_two_and_both_runtimes_have_records_of_their_own(tmp_path) -> None:
    store = FolderStore(tmp_path)
    in_graph = find_or_measure(store, "wrn-16-1", IN_GRAPH, repeats=5)
    in_torch = find_or_measure(store, "wrn-16-1", replace(IN_GRAPH, runtime="torch"), repeats=5)
    assert (in_graph.runtime, in_torch.runtime) == ("graph", "torch")
    assert {in_graph.precision, in_torch.precision} <= {"float32", "bfloat16"}
    assert find_or_measure(store, "wrn-16-1", IN_GRAPH, repeats=5) == in_graph


def test_what_cannot_be_captured_is_launched_from_python_and_says_so(monkeypatch) -> None:
    class LooksAtItsInput(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build("wrn-10-1", 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x if x.abs().max().item() > 0 else -x)

    monkeypatch.setattr(runtimes, "build", lambda name, classes: LooksAtItsInput())
    assert measure("wrn-10-1", IN_GRAPH, repeats=3).runtime == "torch"
    monkeypatch.undo()
    assert measure("wrn-10-1", IN_GRAPH, repeats=3).runtime == "graph", "the allocator is whole"


def test_members_at_the_same_time_are_measured_once(tmp_path) -> None:
    store = FolderStore(tmp_path)
    parts = [("wrn-16-1", IN_GRAPH), ("wrn-16-1", IN_GRAPH), ("wrn-16-2", replace(IN_GRAPH, precision="float32"))]
    found = find_or_measure_at_once(store, "2 x wrn-16-1 + 1 x wrn-16-2", parts, repeats=5)
    assert (found.runtime, found.together) == ("graph", ["wrn-16-1", "wrn-16-1", "wrn-16-2"])
    assert stored_together(store, "2 x wrn-16-1 + 1 x wrn-16-2", parts) == found
    alone = find_or_measure(store, "wrn-16-1", IN_GRAPH, repeats=5)
    assert alone.together is None and alone.architecture == "wrn-16-1"


@pytest.mark.parametrize("runtime", ["graph", "torch"])
def test_what_does_not_fit_into_the_memory_is_an_input_error(runtime: str) -> None:
    with pytest.raises(InputError, match=r"too full for batches of 4000000 with .* smaller \[latency\] batch_sizes"):
        measure("wrn-16-8", replace(IN_GRAPH, batch_size=4_000_000, runtime=runtime), repeats=3)
