"""Random candidates with evidence, as a run leaves them: for tests of choosing within any budget."""

import dataclasses

import numpy as np

from consort.answer.choices import Choices
from consort.answer.decision import choices
from consort.answer.evidence import Evidence
from consort.ensembles.image_scores import class_weights, one_image
from consort.ensembles.intervals import pooled_seed_variance
from consort.study.answer import Answer
from hand_candidates import about, candidate, costs, judged

Answered = tuple[Choices, Evidence]

LABELS = ("1 x a", "1 x b", "1 x c", "2 x a", "3 x a", "1 x a + 1 x b", "2 x b", "2 x a + 1 x c", "3 x b", "2 x c")
MACS = {"a": 1e6, "b": 2.5e6, "c": 4e6}


def world(seed: int, val_images: int = 1200, test_images: int = 3000, metric: str = "accuracy") -> Answered:
    """Singles, ensembles and cascades, right about images that are hard for all of them alike; two seeds of each."""
    rng = np.random.default_rng(seed)
    labels = [np.random.default_rng(seed + images).choice(3, images, p=[0.7, 0.2, 0.1])
              for images in (val_images, test_images)]
    hardness = [rng.random(images) for images in (val_images, test_images)]
    found, seen = [], []
    for label in (*LABELS, *LABELS[3:8]):
        cascade = len(found) >= len(LABELS)
        names = [name for part in label.split(" + ") for name in part[-1] * int(part[0])]
        worst = sum(MACS[name] for name in names)
        macs = worst * rng.uniform(0.4, 0.95) if cascade else worst
        skill = rng.normal(0.8, 0.02)
        leads = [skill - (hard + rng.normal(0, 0.1, len(hard))) for hard in hardness]
        right = [lead > 0 for lead in leads]
        scores = [_scores(metric, *of_split) for of_split in zip(leads, labels, strict=True)]
        made = candidate(len(found), label, float(right[0].mean()), float(right[1].mean()),
                         costs(macs, worst, ms=macs / 2e6), float(rng.uniform(0.4, 0.6)),
                         [0.8] * (len(names) - 1) if cascade else None)
        found.append(judged(made, metric, *scores))
        seen.append(scores)
    guessed = np.where(rng.random(test_images) < 0.3, 1.0, -1.0)
    units = one_image(metric, labels[0]), one_image(metric, labels[1])
    evidence = Evidence(np.array([one[0] for one in seen]), np.array([one[1] for one in seen]),
                        _scores(metric, guessed, labels[1]), units)
    seeds = pooled_seed_variance(rng.random((6, 20_000)) < 0.8, ["a", "a", "b", "b", "c", "c"])
    asked = dataclasses.replace(about(Answer.model_validate({"metric": metric})), seeds=seeds)
    return choices(asked, found, evidence), evidence


def _scores(metric: str, leads: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of images that are predicted with these leads."""
    if metric == "nll":
        return -np.log1p(np.exp(-5 * leads)).astype(np.float32)
    return leads > 0 if metric == "accuracy" else (leads > 0) * class_weights(labels)
