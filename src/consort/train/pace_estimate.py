"""How fast this machine trains, from one step: for an estimate, not for a record."""

import time

import torch
import torch.nn.functional as F

from consort.costs.conditions import Size
from consort.models import compute
from consort.models.families import build

MOST_MACS = 2e11
"""Of the measured step; a larger batch is measured in part, so that a plan does not take minutes."""


def macs_per_second(architecture: str, size: Size, classes: int, batch_size: int, precision: str, macs: int) -> float:
    """Multiply-adds of training that one member does in a second, by the second of two steps on random images.

    macs: of a forward pass of one image.
    """
    place = compute.choose(precision)
    batch = max(2, min(batch_size, int(MOST_MACS / (3 * macs))))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as members train
    try:
        network = place.place(build(architecture, classes)).train()
        x = torch.randn(batch, 3, *size).to(place.device, memory_format=torch.channels_last)
        y = torch.arange(batch, device=place.device) % classes
        for _ in range(2):
            started = time.perf_counter()
            with place.autocast():
                scores = network(x)
            F.cross_entropy(scores.float(), y).backward()
            if place.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    return 3 * macs * batch / seconds
