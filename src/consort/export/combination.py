"""How networks' outputs become one answer, as the bundle computes it; here in numpy, from predictions in the store."""

from dataclasses import dataclass

import numpy as np

from consort.ensembles.composition import combine, log_softmax


@dataclass(frozen=True)
class Combination:
    """How networks' outputs become one answer. Networks are numbered in the order in which they are asked."""

    stages: tuple[int, ...]
    """How many networks each stage asks: (k,) for an ensemble of k, (1, 1, ...) for a cascade."""
    combine: str
    """geometric or arithmetic."""
    temperatures: tuple[float, ...]
    """One per stage."""
    confidence: str | None = None
    """probability, margin, entropy or agreement; None where there is one stage."""
    thresholds: tuple[float, ...] = ()
    """One per stage but the last: an image whose confidence reaches it is not asked further."""

    @property
    def asked_after(self) -> tuple[int, ...]:
        """How many networks have been asked after each stage."""
        return tuple(int(n) for n in np.cumsum(self.stages))


def answers(log_probs: np.ndarray, combination: Combination) -> tuple[np.ndarray, np.ndarray]:
    """The answer's log-probabilities [images, classes], and how many networks were asked, int32 [images].

    log_probs: of the networks in the order in which they are asked, [networks, images, classes].
    """
    final = np.empty_like(log_probs[0])
    asked = np.zeros(len(final), dtype=np.int32)
    for stage, count in enumerate(combination.asked_after):
        answer = combine(log_probs[:count], combination.combine)
        if (temperature := combination.temperatures[stage]) != 1:
            answer = log_softmax(answer / answer.dtype.type(temperature))
        open_still = asked == 0
        stops = open_still
        if stage < len(combination.thresholds):
            stops = open_still & (_confidence(combination.confidence, log_probs[:count], answer)
                                  >= np.float64(combination.thresholds[stage]))
        final[stops], asked[stops] = answer[stops], count
    return final, asked


def _confidence(kind: str | None, log_probs: np.ndarray, answer: np.ndarray) -> np.ndarray:
    probabilities = np.exp(answer)
    if kind == "probability":
        return probabilities.max(axis=1)
    if kind == "margin":
        highest = np.sort(probabilities, axis=1)
        return highest[:, -1] - highest[:, -2]
    if kind == "entropy":
        return (probabilities * np.maximum(answer, -1e4)).sum(axis=1)
    if kind == "agreement":
        return (log_probs.argmax(axis=2) == answer.argmax(axis=1)).mean(axis=0)
    raise ValueError(f"confidence is probability, margin, entropy or agreement, got {kind!r}")
