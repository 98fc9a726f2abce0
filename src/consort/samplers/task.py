"""What a sampler is asked, and the trials that it looks back on."""

import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from consort.space.choices import Encoding, Space
from consort.space.objective import Objective


@dataclass(frozen=True)
class FinishedTrial:
    """A candidate that was tried. Without a reward (None, or not finite) the trial failed or was stopped."""

    encoding: Encoding
    """Canonical."""
    reward: float | None
    accuracy: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Judged:
    """A trial that has a reward."""

    encoding: Encoding
    reward: float
    accuracy: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Task:
    """One call of `suggest`, its settings read."""

    sampler: str
    space: Space
    finished: tuple[FinishedTrial, ...]
    """In the order in which they ended."""
    pending: tuple[Encoding, ...]
    """Sorted."""
    settings: Mapping[str, float]
    objective: Objective | None

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The trials that have a reward, in the order in which they ended."""
        return tuple(Judged(t.encoding, t.reward, t.accuracy, t.latency_ms) for t in self.finished
                     if t.reward is not None and math.isfinite(t.reward))


Proposer = Callable[[random.Random, Collection[Encoding]], Encoding | None]
"""A sampler as a function: (rng, taken) -> the encoding to try next.

`taken` has the canonical encodings that are not to be proposed again: of finished trials, of trials that still run, and
of what the function itself returned before. Where it returns None or one of `taken`, a candidate is drawn at random."""


def new_neighbour(space: Space, of: Encoding, rng: random.Random, seen: Collection[Encoding]) -> Encoding | None:
    """A neighbour that was not seen, or None where all were."""
    new = [neighbour for neighbour in space.neighbours(of) if neighbour not in seen]
    return rng.choice(new) if new else None
