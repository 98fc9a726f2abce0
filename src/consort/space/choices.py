"""Search spaces: which candidates there are, as vectors of fixed length that samplers change and networks decode from.

A candidate is a multiset of `members` networks. An *encoding* has one number per parameter, the index of its choice:
Katib knows no conditional parameters, so every parameter is always there, and one that means nothing for the candidate
(the expansion of a wide-residual stage) is repaired away when an encoding is made canonical.
"""

import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement, product

from consort.errors import InputError, unknown_name
from consort.plurals import counted
from consort.space import networks
from consort.space.networks import Stage

Encoding = tuple[int, ...]
"""The index of the choice of every parameter."""

GENES = ("block", "width", "depth", "kernel", "expansion", "skip")
"""The parameters of a stage, in this order."""
_BLOCK, _, _DEPTH, _, _EXPANSION, _SKIP = range(len(GENES))
SMALL = 100_000
"""Spaces of up to so many candidates are listed where drawing finds nothing new."""
DRAWS = 200


@dataclass(frozen=True)
class Parameter:
    """One decision: its name (`m<member>_s<stage>_<gene>`, counted from 1) and its choices as text."""

    name: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class StageChoices:
    """What may be chosen in one stage; no choice stands twice."""

    block: tuple[str, ...]
    width: tuple[int, ...]
    depth: tuple[int, ...]
    kernel: tuple[int, ...]
    expansion: tuple[int, ...]
    skip: tuple[bool, ...]

    def __post_init__(self) -> None:
        for gene, choices in zip(GENES, self.genes, strict=True):
            if not choices or len(set(choices)) != len(choices):
                raise InputError(f"{gene} needs one choice or more and none of them twice, got {_listed(choices)}.")
            if bad := [choice for choice in choices if choice not in networks.ALLOWED[gene]]:
                raise InputError(f"{gene} is one of {_listed(networks.ALLOWED[gene])}, got {_listed(bad)}.")

    @cached_property
    def genes(self) -> tuple[tuple, ...]:
        return (self.block, self.width, self.depth, self.kernel, self.expansion, self.skip)

    def stage(self, indices: Sequence[int]) -> Stage:
        return Stage(*(gene[index] for gene, index in zip(self.genes, indices, strict=True))).repaired()

    def canonical(self, indices: Sequence[int]) -> Encoding:
        """The first of the encodings of the same stage."""
        expands, repeats = self.means(indices)
        return (*indices[:_EXPANSION], indices[_EXPANSION] if expands else 0, indices[_SKIP] if repeats else 0)

    def means(self, indices: Sequence[int]) -> tuple[bool, bool]:
        """Whether the expansion means something in this stage, and whether skip does."""
        block = self.block[indices[_BLOCK]]
        return networks.expands(block), networks.repeats(block, self.depth[indices[_DEPTH]])

    @cached_property
    def variants(self) -> tuple[Encoding, ...]:
        """Every distinct stage, as its canonical encoding."""
        every = product(*(range(len(gene)) for gene in self.genes))
        return tuple(dict.fromkeys(map(self.canonical, every)))

    def neighbours(self, indices: Encoding) -> tuple[Encoding, ...]:
        """The distinct other stages, in canonical form, that differ from this one in one choice.

        What means something only after the change (the expansion of a stage that becomes MBConv) may be anything.
        """
        if indices not in self._found:
            self._found[indices] = tuple(e for e in dict.fromkeys(self._changed(indices)) if e != indices)
        return self._found[indices]

    @cached_property
    def _found(self) -> dict[Encoding, tuple[Encoding, ...]]:
        """The neighbours of canonical stages that were asked for."""
        return {}

    def _changed(self, indices: Encoding) -> Iterator[Encoding]:
        expanded, repeated = self.means(indices)
        for place, gene in enumerate(self.genes):
            for choice in range(len(gene)):
                new = (*indices[:place], choice, *indices[place + 1:])
                expands, repeats = self.means(new)
                expansions = range(len(self.expansion)) if expands and not expanded else (new[_EXPANSION],)
                skips = range(len(self.skip)) if repeats and not repeated else (new[_SKIP],)
                for free in product(expansions, skips):
                    yield self.canonical((*new[:_EXPANSION], *free))


@dataclass(frozen=True)
class Space:
    """All multisets of `members` networks whose stages are among the choices."""

    skeleton: str
    stages: tuple[StageChoices, ...]
    members: int = 1

    def __post_init__(self) -> None:
        if self.skeleton not in networks.SKELETONS:
            raise unknown_name("skeleton", self.skeleton, networks.SKELETONS)
        if not self.stages or self.members < 1:
            raise InputError("a search space has one stage or more and candidates of one member or more, got "
                             f"{counted(len(self.stages), 'stage')} and {counted(self.members, 'member')}.")

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(Parameter(f"m{member}_s{number}_{name}", tuple(map(_text, choices)))
                     for member in range(1, self.members + 1) for number, stage in enumerate(self.stages, 1)
                     for name, choices in zip(GENES, stage.genes, strict=True))

    @cached_property
    def singles(self) -> int:
        """How many distinct networks there are."""
        return math.prod(len(stage.variants) for stage in self.stages)

    @cached_property
    def size(self) -> int:
        """How many distinct candidates there are: the order of members does not count."""
        return math.comb(self.singles + self.members - 1, self.members)

    def canonical(self, encoding: Sequence[int]) -> Encoding:
        """The one encoding that stands for all that decode to the same networks: repaired, members sorted."""
        return sum(sorted(self._member_canonical(part) for part in self._members_of(encoding)), ())

    def decode(self, encoding: Sequence[int]) -> tuple[str, ...]:
        """The names of the candidate's networks, one per member, sorted as `canonical` sorts them."""
        return tuple(networks.network(self.skeleton, tuple(
            stage.stage(indices) for stage, indices in zip(self.stages, self._stages_of(part), strict=True))).name
            for part in self._members_of(self.canonical(encoding)))

    def encode(self, names: Collection[str]) -> Encoding:
        """The canonical encoding of these networks; raises InputError where the space has not got one of them."""
        if len(names) != self.members:
            raise InputError(f"a candidate of this space has {counted(self.members, 'member')}, got {len(names)}.")
        return self.canonical(sum((self._encode_one(name) for name in names), ()))

    def encoding_of(self, assignments: Mapping[str, str]) -> Encoding:
        """The encoding, not yet canonical, of values by parameter name, as Katib has them.

        Raises InputError for a parameter that is missing or unknown, and a value that is none of its choices.
        """
        missing = [p.name for p in self.parameters if p.name not in assignments]
        if missing:
            raise InputError(f"these parameters of the search have no value: {', '.join(missing)}.")
        known = {p.name for p in self.parameters}
        if unknown := [name for name in assignments if name not in known]:
            raise unknown_name("parameter", unknown[0], known)
        return tuple(_index(p, assignments[p.name]) for p in self.parameters)

    def assignments(self, encoding: Sequence[int]) -> dict[str, str]:
        """Parameter name -> the value that this encoding chooses, as text."""
        return {p.name: p.choices[index] for p, index in zip(self.parameters, encoding, strict=True)}

    def draw(self, rng: random.Random) -> Encoding:
        """A canonical encoding; of one member every distinct network is equally likely."""
        members = [sum((rng.choice(stage.variants) for stage in self.stages), ()) for _ in range(self.members)]
        return sum(sorted(members), ())

    def neighbours(self, encoding: Sequence[int]) -> list[Encoding]:
        """The distinct other candidates that differ from this one in one choice of one stage, in a fixed order.

        A choice that means something only after the change is free, so that of two candidates either both are
        neighbours of each other or none is.
        """
        members, changed = self._members_of(self.canonical(encoding)), []
        for place, member in enumerate(members):
            parts, rest = self._stages_of(member), members[:place] + members[place + 1:]
            for number, stage in enumerate(self.stages):
                for other in stage.neighbours(parts[number]):
                    new = sum((*parts[:number], other, *parts[number + 1:]), ())
                    changed.append(sum(sorted((*rest, new)), ()))
        return list(dict.fromkeys(changed))

    def draw_unseen(self, rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
        """A candidate that is not among the `seen` canonical encodings, or None where all of them are.

        In spaces of more than 100,000 candidates, none in 200 draws counts as all.
        """
        for _ in range(DRAWS):
            drawn = self.draw(rng)
            if drawn not in seen:
                return drawn
        if self.size > SMALL:
            return None
        left = [candidate for candidate in self.candidates() if candidate not in seen]
        return rng.choice(left) if left else None

    def candidates(self) -> Iterator[Encoding]:
        """Every candidate once, as its canonical encoding."""
        single = sorted(sum(stages, ()) for stages in product(*(stage.variants for stage in self.stages)))
        for members in combinations_with_replacement(single, self.members):
            yield sum(members, ())

    def _members_of(self, encoding: Sequence[int]) -> list[Encoding]:
        length = len(GENES) * len(self.stages)
        if len(encoding) != length * self.members:
            raise InputError(f"an encoding of this space has {length * self.members} numbers, got {len(encoding)}.")
        return [tuple(encoding[start:start + length]) for start in range(0, len(encoding), length)]

    def _stages_of(self, member: Encoding) -> list[Encoding]:
        return [member[start:start + len(GENES)] for start in range(0, len(member), len(GENES))]

    def _member_canonical(self, member: Encoding) -> Encoding:
        return sum((stage.canonical(indices)
                    for stage, indices in zip(self.stages, self._stages_of(member), strict=True)), ())

    def _encode_one(self, name: str) -> Encoding:
        parsed = networks.parse(name)
        if parsed.skeleton != self.skeleton:
            raise InputError(f"{name} is of the skeleton {parsed.skeleton!r}, the space of {self.skeleton!r}.")
        indices: list[int] = []
        for number, (stage, choices) in enumerate(zip(parsed.stages, self.stages, strict=True), 1):
            for gene, options in zip(GENES, choices.genes, strict=True):
                value = getattr(stage, gene)
                means = {"expansion": stage.expands, "skip": stage.repeats}.get(gene, True)
                if means and value not in options:
                    raise InputError(f"{name} is not in the search space: {gene} of stage {number} is {_text(value)}, "
                                     f"the choices are {', '.join(map(_text, options))}.")
                indices.append(options.index(value) if means else 0)
        return tuple(indices)


def space_of_parameters(skeleton: str, parameters: Sequence[Parameter]) -> Space:
    """The space that has these parameters, as a Katib experiment lists them; raises InputError where none has."""
    by_name = {p.name: p.choices for p in parameters}
    members = len({name.split("_")[0] for name in by_name})
    stages = len({name.split("_")[1] for name in by_name if "_" in name})
    try:
        choices = tuple(StageChoices(*(_values(gene, by_name[f"m1_s{number}_{gene}"]) for gene in GENES))
                        for number in range(1, stages + 1))
    except KeyError as e:
        raise InputError(f"the search has no parameter {e.args[0]}: a space has m<member>_s<stage>_<gene> for the "
                         f"genes {', '.join(GENES)}.") from e
    space = Space(skeleton, choices, members)
    if len(by_name) != len(parameters) or {p.name: p.choices for p in space.parameters} != by_name:
        raise InputError("these parameters are no search space of networks: every member must have the same choices, "
                         "as m<member>_s<stage>_<gene>, each once; got "
                         f"{', '.join(sorted(p.name for p in parameters))}.")
    return space


def _text(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _listed(values: Sequence) -> str:
    if isinstance(values, range):
        return f"{values.start} to {values.stop - 1}"
    return ", ".join(_text(value) for value in values) or "none"


def _values(gene: str, texts: Sequence[str]) -> tuple:
    """The choices of a gene from their text."""
    if gene == "block":
        return tuple(texts)
    known = {_text(value): value for value in networks.ALLOWED[gene]}
    if bad := [text for text in texts if text not in known]:
        raise InputError(f"{gene} is one of {_listed(networks.ALLOWED[gene])}, got {', '.join(bad)}.")
    return tuple(known[text] for text in texts)


def _index(parameter: Parameter, text: str) -> int:
    try:
        return parameter.choices.index(text)
    except ValueError:
        raise InputError(f"{parameter.name} is one of {', '.join(parameter.choices)}, got {text!r}.") from None
