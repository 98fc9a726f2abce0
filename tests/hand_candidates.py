"""Candidates, evidence and choices written by hand, for tests of the answer."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from consort.answer.choices import Candidate, Choices, Costs, Majority, OnTest, OnValidation, Promise
from consort.answer.decision import About
from consort.answer.evidence import Evidence
from consort.ensembles.image_scores import value_of
from consort.study.answer import Answer


def costs(macs: float, worst: float | None = None, ms: float | None = None, **others) -> Costs:
    worst = macs if worst is None else worst
    ms_worst = None if ms is None else ms * worst / macs
    known = {"parallel_ms": ms, "params": int(worst / 100), "bytes": int(worst / 25), "train_macs": int(worst * 3000)}
    return Costs(macs, worst, ms, ms_worst, ms_worst, **{**known, **others})


def candidate(number: int, label: str, val: float, test: float = 0.5, cost: Costs | None = None, nll: float = 0.5,
              thresholds: Sequence[float | None] | None = None, confidence: str = "probability",
              promise: Promise | None = None) -> Candidate:
    """label: "2 x wrn-16-1", "1 x a + 1 x b"; with thresholds it is a cascade, asked in this order."""
    parts = [(int(count), name) for count, name in (part.split(" x ") for part in label.split(" + "))]
    architectures = tuple(name for count, name in parts for _ in range(count))
    kind = "cascade" if thresholds is not None else "mixed" if len(parts) > 1 else \
        "single" if len(architectures) == 1 else "uniform"
    return Candidate(
        f"c{number}", f"cascade of {label}" if kind == "cascade" else label, kind,
        tuple(f"{name}-s{seed}-0123456789" for seed, name in enumerate(architectures)), architectures, "geometric",
        (1.0,) * (len(architectures) if kind == "cascade" else 1), confidence if kind == "cascade" else None,
        tuple(thresholds or ()), promise, cost or costs(1e6 * len(architectures)), OnValidation(val, nll, val),
        OnTest(test, test - 0.01, test + 0.01, 0.5, 0.02, test, test - 0.01, test + 0.01))


def judged(one: Candidate, metric: str, val: np.ndarray, test: np.ndarray) -> Candidate:
    """The same with the values of these scores of its images."""
    values = {split: value_of(metric, scores) for split, scores in (("val", val), ("test", test))}
    nll = values["val"] if metric == "nll" else one.val.nll
    return replace(one, val=replace(one.val, value=values["val"], nll=nll), test=replace(
        one.test, value=values["test"], value_low=values["test"] - 0.01, value_high=values["test"] + 0.01))


def right(num_images: int, share: float, of: int = 0) -> np.ndarray:
    """bool [images]: a share of them, from image `of` on, around the end."""
    images = (np.arange(num_images) - of) % num_images
    return images < round(share * num_images)


def about(asked: Answer | None = None, classes: Sequence[str] = ("cat", "dog", "owl"), majority: float = 0.4) -> About:
    return About("owls", "r1", "one or three?", 0.95, tuple(classes), Majority(classes[0], majority, majority), None,
                 (), asked or Answer())


def evidence(val: Sequence[np.ndarray], test: Sequence[np.ndarray], majority: float = 0.4) -> Evidence:
    return Evidence(np.array(val), np.array(test), right(len(test[0]), majority, of=7))


def empty(candidates: Sequence[Candidate], val_images: int = 5000, test_images: int = 10_000,
          margin: float | None = None, classes: Sequence[str] = ("cat", "dog", "owl"),
          metric: str = "accuracy") -> Choices:
    """Choices without a choice, for the sentences."""
    return Choices("owls", "r1", "", metric, 0.95, val_images, test_images, tuple(classes),
                   Majority(classes[0], 0.4, 0.4), None, (), margin, 0.002, (), tuple(candidates), ())
