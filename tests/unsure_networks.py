"""Small networks that disagree, on random images: what graphs and programs of several networks are held to."""

import numpy as np
import torch
from torch import nn

from consort.data.augment import Normalise
from consort.ensembles.composition import log_softmax
from consort.export.combination import Combination, answers
from consort.export.views import whole
from consort.models.families import build

SIZE, CLASSES = (8, 8), 5
VIEW = whole(SIZE, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
IMAGES = np.random.default_rng(0).integers(0, 256, (40, *SIZE, 3), dtype=np.uint8)
INFINITE = float("inf")


def unsure_networks() -> list[nn.Module]:
    """Three that disagree: as they are when training begins, they would all be unsure."""
    torch.manual_seed(0)
    found = [build("wrn-10-1", CLASSES).eval() for _ in range(3)]
    for network in found:
        network.classifier.weight.data *= 6
    return found


def log_probs_of(networks: list[nn.Module]) -> np.ndarray:
    """[networks, images, classes] of IMAGES."""
    x = Normalise(list(VIEW.mean), list(VIEW.std), torch.device("cpu"))(torch.from_numpy(IMAGES))
    with torch.inference_mode():
        return np.stack([log_softmax(network(x).numpy()) for network in networks])


def cascade(confidence: str, thresholds: tuple[float, ...], combine: str = "geometric") -> Combination:
    return Combination((1, 1, 1), combine, (1.3, 1.0, 0.8), confidence, thresholds)


def sureness(log_probs: np.ndarray, confidence: str, combine: str, stage: int) -> np.ndarray:
    """How sure the answer is after so many members, written out."""
    answer, _ = answers(log_probs[:stage], Combination((stage,), combine, ((1.3, 1.0, 0.8)[stage - 1],)))
    probabilities = np.sort(np.exp(answer), axis=1)
    return {"probability": probabilities[:, -1], "margin": probabilities[:, -1] - probabilities[:, -2],
            "entropy": (np.exp(answer) * answer).sum(axis=1),
            "agreement": (log_probs[:stage].argmax(axis=2) == answer.argmax(axis=1)).mean(axis=0)}[confidence]
