"""Which members each process of a run trains: as many lists as there are places, with the same work in each."""

from collections.abc import Mapping, Sequence

from consort.members.spec import MemberSpec


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
