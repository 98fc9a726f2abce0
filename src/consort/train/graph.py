"""The step of a whole pack as one CUDA graph, a stream per member: small networks are bound by launches otherwise."""

import gc
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import torch

from consort.models import compute
from consort.train.lane import Lane

WARM_UP_STEPS = 3
"""Before a capture: libraries choose their algorithms, the optimiser and the allocator get what they keep."""


class NotCapturable(Exception):
    """Some lanes' steps have to be launched from Python."""

    def __init__(self, lanes: Sequence[Lane], why: str) -> None:
        super().__init__(why)
        self.lanes = list(lanes)


def capture(lanes: Sequence[Lane]) -> torch.cuda.CUDAGraph:
    """A graph that makes one step of every lane. The members are left as they were.

    Raises NotCapturable for networks that draw random numbers, which would be the same in every replay, and for what
    CUDA refuses to capture. A RuntimeError that says that the memory is full is passed on.
    """
    device = lanes[0].device
    before = [lane.copied() for lane in lanes]
    try:
        _warm_up(lanes)
        return _captured(lanes)
    except RuntimeError as e:
        if compute.is_out_of_memory(e):
            raise
        raise NotCapturable(lanes, f"CUDA cannot capture its step ({str(e).splitlines()[0][:150]})") from e
    finally:
        torch.cuda.synchronize(device)
        for lane, tensors in zip(lanes, before, strict=True):
            lane.put_back(tensors)
        del before
        gc.collect()


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    """Always the same: libraries keep tens of megabytes for every stream that they ever worked on."""
    return torch.cuda.Stream(device)


def _warm_up(lanes: Sequence[Lane]) -> None:
    drawing = []
    for number, lane in enumerate(lanes):
        drawn = torch.cuda.get_rng_state(lane.device)
        for _ in range(WARM_UP_STEPS):
            _side_by_side([lane], number)
        if not torch.equal(drawn, torch.cuda.get_rng_state(lane.device)):
            drawing.append(lane)
    if drawing:
        raise NotCapturable(drawing, "it draws random numbers in its step (dropout, stochastic depth)")


def _captured(lanes: Sequence[Lane]) -> torch.cuda.CUDAGraph:
    """What torch.cuda.graph does, and what it leaves undone where a capture fails."""
    device = lanes[0].device
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()  # of the warm-up: a graph has memory of its own
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    with torch.cuda.stream(_stream(device, -1)):
        graph.capture_begin(pool=pool)
        try:
            _side_by_side(lanes)
        except BaseException:
            _abandon(graph, pool, device)
            raise
        graph.capture_end()
    return graph


def _abandon(graph: torch.cuda.CUDAGraph, pool: tuple[int, int], device: torch.device) -> None:
    """End a capture that failed. Where CUDA refuses to, torch's allocator would believe in it for ever: it would keep
    the pool's memory, and could give back none at all."""
    try:
        graph.capture_end()
    except RuntimeError:
        index = torch.cuda.current_device() if device.index is None else device.index
        torch._C._cuda_endAllocateToPool(index, pool)
        torch._C._cuda_releasePool(index, pool)


def _side_by_side(lanes: Sequence[Lane], first: int = 0) -> None:
    """One step of every lane, each on a stream of its own, from stream `first` on."""
    current = torch.cuda.current_stream(lanes[0].device)
    forked: list[torch.cuda.Stream] = []
    try:
        for number, lane in enumerate(lanes, first):
            stream = _stream(lane.device, number)
            stream.wait_stream(current)
            forked.append(stream)
            with torch.cuda.stream(stream):
                lane.step()
    except RuntimeError:
        with suppress(RuntimeError):  # CUDA may have given up the capture
            _join(current, forked)
        raise
    _join(current, forked)


def _join(current: torch.cuda.Stream, forked: Sequence[torch.cuda.Stream]) -> None:
    """A capture cannot end before all that was forked from its stream is joined."""
    for stream in forked:
        current.wait_stream(stream)
