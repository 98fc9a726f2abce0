"""Several pieces of work at the same time on one device, and as one CUDA graph: launching from Python takes longer than
the work itself where networks are small."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import torch

from consort.models import compute

Work = Callable[[], object]
WARM_UP = 3
"""Times that work is done before its capture."""


@cache
def stream(device: torch.device, number: int) -> torch.cuda.Stream:
    """Always the same: libraries keep tens of megabytes for every stream that they ever worked on."""
    return torch.cuda.Stream(device)


def side_by_side(work: Sequence[Work], device: torch.device, first: int = 0) -> None:
    """Do each piece on a stream of its own, from stream `first` on; on a CPU one after the other."""
    if device.type != "cuda":
        for one in work:
            one()
        return
    current = torch.cuda.current_stream(device)
    forked: list[torch.cuda.Stream] = []
    try:
        for number, one in enumerate(work, first):
            own = stream(device, number)
            own.wait_stream(current)
            forked.append(own)
            with torch.cuda.stream(own):
                one()
    except RuntimeError:
        with suppress(RuntimeError):  # CUDA may have given up the capture
            _join(current, forked)
        raise
    _join(current, forked)


def warm_up(work: Work, device: torch.device, number: int = 0) -> bool:
    """Do it on stream `number`, as a capture of it needs: libraries choose their algorithms, the optimiser and the
    allocator get what they keep. Whether it drew random numbers, which would be the same in every replay."""
    drawn = torch.cuda.get_rng_state(device)
    for _ in range(WARM_UP):
        side_by_side([work], device, number)
    return not torch.equal(drawn, torch.cuda.get_rng_state(device))


def captured(work: Sequence[Work], device: torch.device) -> torch.cuda.CUDAGraph | None:
    """As `capture`; None for what CUDA refuses, but not for memory that is full."""
    try:
        return capture(work, device)
    except RuntimeError as e:
        if compute.is_out_of_memory(e):
            raise
        return None


def capture(work: Sequence[Work], device: torch.device) -> torch.cuda.CUDAGraph:
    """A graph that does all of it at the same time; the work has to be warmed up before.

    Does what torch.cuda.graph does, and what that leaves undone where a capture fails. Raises RuntimeError for what
    CUDA refuses to capture.
    """
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()  # of the warm-up: a graph has memory of its own
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    with torch.cuda.stream(stream(device, -1)):
        graph.capture_begin(pool=pool)
        try:
            side_by_side(work, device)
        except BaseException:
            _abandon(graph, pool, device)
            raise
        graph.capture_end()
    return graph


def _abandon(graph: torch.cuda.CUDAGraph, pool: tuple[int, int], device: torch.device) -> None:
    """End a capture that failed. Where CUDA refuses to, torch would believe in it for ever: its allocator would keep
    the pool's memory, and could give back none at all; its generator (torch 2.11) would draw no more numbers."""
    try:
        graph.capture_end()
    except RuntimeError:
        index = torch.cuda.current_device() if device.index is None else device.index
        torch._C._cuda_endAllocateToPool(index, pool)
        torch._C._cuda_releasePool(index, pool)
        _capture_nothing(device)


def _capture_nothing(device: torch.device) -> None:
    """A capture that succeeds: with its end torch's generator knows that none is on."""
    nothing, graph = torch.zeros(1, device=device), torch.cuda.CUDAGraph()
    graph.capture_begin()
    nothing.zero_()  # of an empty graph torch warns
    graph.capture_end()


def _join(current: torch.cuda.Stream, forked: Sequence[torch.cuda.Stream]) -> None:
    """A capture cannot end before all that was forked from its stream is joined."""
    for own in forked:
        current.wait_stream(own)
