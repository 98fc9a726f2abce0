"""Which members each process of a run trains: as many lists as there are places, with the same work in each."""

from collections.abc import Mapping, Sequence

from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet


def shares(specs: Sequence[MemberSpec], workers: int) -> list[list[MemberSpec]]:
    """A list of members for each worker, so that all end at about the same time.

    Cheapest first in each: a run that is interrupted then has as many members as can be.
    """
    work = _work({s.architecture for s in specs})
    lists: list[list[MemberSpec]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    # The costliest are dealt first: the others even out what they leave.
    for spec in sorted(specs, key=lambda s: -work[s.architecture] * s.recipe.epochs):
        least = loads.index(min(loads))
        lists[least].append(spec)
        loads[least] += work[spec.architecture] * spec.recipe.epochs
    return [members[::-1] for members in lists if members]


def _work(architectures: set[str]) -> Mapping[str, float]:
    """Multiply-adds of each architecture, in a unit of their own."""
    sizes = {name: wide_resnet(name) for name in architectures}
    known = {name: float((size[0] - 4) * size[1] ** 2) for name, size in sizes.items() if size is not None}
    if len(architectures) == 1 or known.keys() == architectures:
        return {name: known.get(name, 1.0) for name in architectures}
    from consort.costs.macs import count  # torch takes seconds to import, and wide residual networks do without

    return {name: count(name).macs for name in architectures}
