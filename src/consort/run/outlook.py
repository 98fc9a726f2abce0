"""What a planned run will do and take: images, steps, MACs, disk; and what is likely to disappoint. Computes nothing
that a plan did not count already; without torch, MACs are unknown."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from consort.data.findings import shortened
from consort.data.prepared import Prepared
from consort.members.spec import MemberSpec
from consort.plurals import counted, have
from consort.run.checks import count_of, disk_bytes
from consort.run.run import Run

FEW_VAL_IMAGES = 200
FEW_STEPS = 300
UNEQUAL = 5.0
"""The largest class of the training images, in sizes of the smallest."""


@dataclass(frozen=True)
class Network:
    """An architecture of the study."""

    architecture: str
    states: dict[str, int]
    """done, failed, to import or to train -> members."""
    batch_size: int
    steps: int
    """Of one member's training; 0 where it is imported."""
    macs: int | None
    params: int | None

    @property
    def to_train(self) -> int:
        return self.states.get("to train", 0)

    @property
    def train_macs(self) -> int | None:
        """Of all members that are to be trained: forward, and twice that for backward."""
        return None if self.macs is None else 3 * self.macs * self.batch_size * self.steps * self.to_train


@dataclass(frozen=True)
class Outlook:
    images: dict[str, dict[str, int]]
    """Split -> class -> images."""
    networks: list[Network]
    disk_bytes: int | None
    """That the members to come take in the store."""
    warnings: list[str]

    @property
    def train_macs(self) -> int | None:
        found = [network.train_macs for network in self.networks]
        return None if None in found else sum(macs for macs in found if macs is not None)


def outlook(run: Run) -> Outlook:
    """What `consort plan` says of a run."""
    data, states = run.plan.data, run.states()
    images = {split: class_counts(data, split) for split in ("train", "val", "test")}
    networks, disk = [], 0
    for name, specs in _by_architecture(run).items():
        found = count_of(specs[0], data, run.cache)
        macs, params = found if found is not None else (None, None)
        of_these = Counter(states[spec.id] for spec in specs)
        networks.append(Network(name, dict(of_these), specs[0].recipe.batch_size, _steps(run, specs[0]), macs, params))
        to_come = of_these["to train"] + of_these["to import"]
        disk += to_come * disk_bytes(specs[0], params or 0, data)
    unknown = any(network.params is None for network in networks)
    return Outlook(images, networks, None if unknown else disk, warnings(run))


def warnings(run: Run) -> list[str]:
    """What may make the answer of a run that has members to train worth little, each with its numbers."""
    todo = {spec.architecture: spec for spec in run.to_train()}
    if not todo:
        return []
    data = run.plan.data
    return [*_of_data(data), *_of_steps(run, todo), *_of_batches(data, todo)]


def class_counts(data: Prepared, split: str) -> dict[str, int]:
    """Class -> images of a split."""
    counts = np.bincount(data.labels(split), minlength=len(data.classes))
    return dict(zip(data.classes, counts.tolist(), strict=True))


def _by_architecture(run: Run) -> dict[str, list[MemberSpec]]:
    found: dict[str, list[MemberSpec]] = {}
    for spec in run.plan.specs:
        found.setdefault(spec.architecture, []).append(spec)
    return found


def _steps(run: Run, spec: MemberSpec) -> int:
    """The last, incomplete batch of an epoch is left out."""
    if spec.id in run.plan.weights:
        return 0
    return run.plan.data.counts["train"] // spec.recipe.batch_size * spec.recipe.epochs


def _of_data(data: Prepared) -> Iterator[str]:
    n = data.counts["val"]
    if n < FEW_VAL_IMAGES:
        remedy = (f"Set [data] val_images to {FEW_VAL_IMAGES} or more."
                  if n + data.counts["train"] >= 2 * FEW_VAL_IMAGES else "More images would settle more.")
        yield (f"{counted(n, 'validation image')}, by which ensembles are chosen: an accuracy measured on them is "
               f"known to about {100 * 0.98 / n**0.5:.0f} points only. {remedy}")
    train, test = class_counts(data, "train"), class_counts(data, "test")
    most, least = max(train, key=lambda c: train[c]), min(train, key=lambda c: train[c])
    if train[most] > UNEQUAL * train[least]:
        share = test[most] / max(1, sum(test.values()))
        yield (f"classes are very unequal: {counted(train[most], 'training image')} of {most}, {train[least]:,} of "
               f"{least}. Always answering {most} is right on {share:.1%} of the test images: hold accuracies against "
               "that.")
    for split, counts in (("validation", class_counts(data, "val")), ("test", test)):
        if empty := [name for name, count in counts.items() if not count]:
            yield f"{counted(len(empty), 'class')} {have(len(empty))} no {split} images: {shortened(empty)}."
    alike = Counter(" ".join(name.casefold().split()) for name in data.classes)
    if twice := [name for name in data.classes if alike[" ".join(name.casefold().split())] > 1]:
        yield (f"classes whose names differ in case or spaces only: {', '.join(map(repr, twice[:6]))}. Are they the "
               "same?")


def _of_steps(run: Run, todo: dict[str, MemberSpec]) -> Iterator[str]:
    few: dict[int, list[str]] = {}
    for name, spec in todo.items():
        if (steps := _steps(run, spec)) < FEW_STEPS:
            few.setdefault(steps, []).append(name)
    for steps, names in few.items():
        train = "trains" if len(names) == 1 else "train"
        yield (f"{shortened(names, 4)} {train} for {counted(steps, 'step')} only: networks are seldom near what they "
               f"can be before some {FEW_STEPS}. Set [recipe] epochs higher or batch_size lower.")


def _of_batches(data: Prepared, todo: dict[str, MemberSpec]) -> Iterator[str]:
    count = data.counts["train"]
    near: dict[int, list[str]] = {}
    for name, spec in todo.items():
        if 2 * spec.recipe.batch_size > count:
            near.setdefault(spec.recipe.batch_size, []).append(name)
    for batch, names in near.items():
        yield (f"{shortened(names, 4)}: a batch of {batch:,} is near the {count:,} training images, so an epoch is one "
               f"step and leaves out {count - batch:,} of them. Set [recipe] batch_size lower.")
