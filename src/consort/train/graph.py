"""The step of a whole pack as one CUDA graph, a stream per member: small networks are bound by launches otherwise."""

import gc
from collections.abc import Sequence

import torch

from consort.models import compute, cuda_graphs
from consort.train.lane import Lane


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
        return cuda_graphs.capture([lane.step for lane in lanes], device)
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


def _warm_up(lanes: Sequence[Lane]) -> None:
    drawing = [lane for number, lane in enumerate(lanes) if cuda_graphs.warm_up(lane.step, lane.device, number)]
    if drawing:
        raise NotCapturable(drawing, "it draws random numbers in its step (dropout, stochastic depth)")
