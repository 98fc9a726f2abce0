"""Median stopping: a training that is behind the others ends early. No torch here.

The rule of Google Vizier (Golovin et al. 2017, section 3.2.2): after a period of grace, stop what has done worse until
this step than the median of what the others had reached by it. Vizier takes the running average of the others; with
learning curves that rise as steeply as those of short trainings, nearly nothing is below such an average. Here the
median is over the others' accuracies at the same epoch, and a member counts with the best it has had.

Each member leaves its curve at members/<id>/curve.json, after every epoch. The others of a search are all members in
the store with the same data and recipe whose network is in the search's space, so a trial that was interrupted, or that
runs on another machine, sees the same ones.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from consort.documents import canonical_json, sha256
from consort.errors import InputError, MissingKey, Stopped
from consort.members.spec import MemberSpec
from consort.space.choices import Space
from consort.store import Store, keys

FEWEST = 5
"""Others that must have come to an epoch before their median means something."""


def grace(epochs: int) -> int:
    """After so many epochs members are compared: a third of them, at least one."""
    return max(1, math.ceil(epochs / 3))


def falls_behind(curve: Sequence[float], others: Sequence[Sequence[float]], epochs: int) -> float | None:
    """The median that a member is below after the epochs of its curve, or None where it may go on.

    curve, others: validation accuracy after each epoch. Nothing is stopped that has come to its last epoch.
    """
    epoch = len(curve)
    if not grace(epochs) <= epoch < epochs:
        return None
    reached = [other[epoch - 1] for other in others if len(other) >= epoch]
    if len(reached) < FEWEST or max(curve) >= (middle := median(reached)):
        return None
    return middle


def read_curve(store: Store, member_id: str) -> list[float]:
    """Validation accuracy after each epoch that a member has come to."""
    try:
        return [float(value) for value in json.loads(store.read(keys.member_curve(member_id)))["val_accuracy"]]
    except (MissingKey, ValueError, KeyError, TypeError):
        return []


@dataclass
class Median:
    """The rule for one member of a search in `space`, a space of single networks."""

    store: Store
    spec: MemberSpec
    space: Space
    _whole: dict[str, list[float] | None] = field(default_factory=dict)
    """Key -> a curve that has come to its end, or None where it is not of this search."""

    def after_epoch(self, epoch: int, val_accuracy: float) -> None:
        """Keep the member's curve; raises Stopped where it falls behind. epoch: from 1."""
        curve = [*read_curve(self.store, self.spec.id)[:epoch - 1], val_accuracy]
        self.store.write(keys.member_curve(self.spec.id), canonical_json(
            {**_of_search(self.spec), "architecture": self.spec.architecture, "val_accuracy": curve}).encode())
        self.check(curve)

    def check(self, curve: Sequence[float]) -> None:
        """Raises Stopped where a member with this curve is behind."""
        middle = falls_behind(curve, self._others(), self.spec.recipe.epochs)
        if middle is not None:
            raise Stopped(f"member {self.spec.id} was stopped after epoch {len(curve)} of {self.spec.recipe.epochs}: "
                          f"its validation accuracy {100 * max(curve):.2f} % is below the others' median of "
                          f"{100 * middle:.2f} %.")

    def _others(self) -> list[list[float]]:
        own = keys.member_curve(self.spec.id)
        listed = [key for key in self.store.list(keys.MEMBERS) if key.endswith("/curve.json") and key != own]
        return [curve for key in listed if (curve := self._curve(key)) is not None]

    def _curve(self, key: str) -> list[float] | None:
        if key not in self._whole:
            try:
                values = json.loads(self.store.read(key))
                curve, name = list(map(float, values["val_accuracy"])), values["architecture"]
                same = all(values[part] == value for part, value in _of_search(self.spec).items())
            except (MissingKey, ValueError, KeyError, TypeError):
                return None
            if same and self._in_space(name) and len(curve) < self.spec.recipe.epochs:
                return curve  # it may grow
            self._whole[key] = curve if same and self._in_space(name) else None
        return self._whole[key]

    def _in_space(self, name: str) -> bool:
        try:
            self.space.encode([name])
        except InputError:
            return False
        return True


def _of_search(spec: MemberSpec) -> dict[str, str]:
    """What members have in common whose curves can be compared."""
    recipe = sha256(canonical_json(spec.recipe.identity()).encode())[:10]
    return {"data": spec.data, "recipe": recipe}
