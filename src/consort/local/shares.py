"""Which members each process of a run trains: as many lists as there are places, with the same work in each."""

from collections.abc import Mapping, Sequence

from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet
from consort.train.packs import image_work

WIDE_RESNET_MACS = 2.1e6 / (32 * 32)
"""For a pixel, of a wide residual network of width 1, times its depth less 4: within 10 % for depth 16."""
PIXELS = 32 * 32
"""Of an image whose size is not known."""


def shares(specs: Sequence[MemberSpec], workers: int, work: Mapping[str, float]) -> list[list[MemberSpec]]:
    """A list of members for each worker, so that all end at about the same time.

    Cheapest first in each: a run that is interrupted then has as many members as can be. work: of each member.
    """
    lists: list[list[MemberSpec]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    # The costliest are dealt first: the others even out what they leave.
    for spec in sorted(specs, key=lambda s: -work[s.id]):
        least = loads.index(min(loads))
        lists[least].append(spec)
        loads[least] += work[spec.id]
    return [members[::-1] for members in lists if members]


def work_of(specs: Sequence[MemberSpec], size: Sequence[int] | None, on_gpu: bool) -> dict[str, float]:
    """Member -> what training it takes, in a unit of their own. size: of prepared images, (height, width)."""
    pixels = size[0] * size[1] if size else PIXELS
    macs = _macs({spec.architecture for spec in specs}, pixels)
    return {spec.id: (image_work(macs[spec.architecture]) if on_gpu else macs[spec.architecture]) * spec.recipe.epochs
            for spec in specs}


def _macs(architectures: set[str], pixels: int) -> Mapping[str, float]:
    """Multiply-adds of each architecture for an image, about."""
    sizes = {name: wide_resnet(name) for name in architectures}
    known = {name: WIDE_RESNET_MACS * pixels * (size[0] - 4) * size[1] ** 2
             for name, size in sizes.items() if size is not None}
    if len(architectures) == 1 or known.keys() == architectures:
        return {name: known.get(name, 1.0) for name in architectures}
    from consort.costs.macs import count  # torch takes seconds to import, and wide residual networks do without

    return {name: count(name).macs for name in architectures}
