"""Which members train side by side on a GPU."""

from collections.abc import Mapping, Sequence
from math import ceil

from consort.members.spec import MemberSpec

MOST_SIDE_BY_SIDE = 8
FULL_STEP_MACS = 400e9
"""Multiply-adds of a forward pass, all images of all members of a pack together, from which on more members bring
nothing on an H100 or H200. Measured there: at batch 128, eight wrn-16-1 (27 million MACs an image) train 2.4 times as
fast as one, and eight wrn-16-4 (393 million) 1.3 times; at batch 512 wrn-16-8 (1.5 billion) fills the chip alone. A
smaller chip is full earlier: what is too much for its memory is halved."""

IMAGE_MACS = 250e6
"""What an image takes on a GPU beside its own multiply-adds, in multiply-adds of a forward pass: launches, and all that
is not arithmetic. Measured there, in packs at batch 512, wrn-16-1, 2, 4 and 8 take 3.4, 4.7, 8.8 and 22.4 us an image;
MACs + 250 million are in the ratio of these within 10 %."""


def image_work(macs: float) -> float:
    """What training a network on one image takes on a GPU, in a unit of its own."""
    return macs + IMAGE_MACS


def members_that_fill_a_gpu(macs: float, batch_size: int) -> int:
    """How many members to train side by side, by the multiply-adds of one of them for one image."""
    return max(1, min(MOST_SIDE_BY_SIDE, ceil(FULL_STEP_MACS / (macs * batch_size))))


def packs(specs: Sequence[MemberSpec], macs: Mapping[str, float], most: int | None = None) -> list[list[MemberSpec]]:
    """Packs of members with the same architecture and recipe, in the order of `specs`, and as even as they can be.

    most: members in a pack, by default as many as fill the chip."""
    alike: dict[tuple, list[MemberSpec]] = {}
    for spec in specs:
        alike.setdefault((spec.architecture, spec.recipe), []).append(spec)
    found = []
    for (architecture, recipe), same in alike.items():
        number = ceil(len(same) / (most or members_that_fill_a_gpu(macs[architecture], recipe.batch_size)))
        found += [same[i * len(same) // number:(i + 1) * len(same) // number] for i in range(number)]
    return found
