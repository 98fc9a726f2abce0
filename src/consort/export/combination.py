"""How networks' outputs become one answer, as the bundle computes it; here in numpy, from predictions in the store."""

from dataclasses import dataclass

import numpy as np

from consort.ensembles import cascades
from consort.ensembles.cascades import Cascade
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

    def float32_threshold(self, number: int) -> float:
        """What a stage's confidences in float32 are compared with, so that the decision is that of the exact threshold:
        the next float32 above it; of an agreement, the number of votes that are enough."""
        wanted = self.thresholds[number]
        if self.confidence == "agreement":
            count = self.asked_after[number]
            return float(next((votes for votes in range(count + 1) if votes / count >= wanted), np.inf))
        near = np.float32(wanted)
        return float(near if near >= wanted else np.nextafter(near, np.float32(np.inf)))


def answers(log_probs: np.ndarray, combination: Combination) -> tuple[np.ndarray, np.ndarray]:
    """The answer's log-probabilities [images, classes], and how many networks were asked, int [images].

    log_probs: of the networks in the order in which they are asked, [networks, images, classes].
    """
    if combination.confidence is not None:
        cascade = Cascade(tuple(range(len(log_probs))), combination.combine, combination.confidence,
                          combination.thresholds, combination.temperatures)
        return cascades.answered(log_probs, cascade)
    answer, (temperature,) = combine(log_probs, combination.combine), combination.temperatures
    if temperature != 1:
        answer = log_softmax(answer / answer.dtype.type(temperature))
    return answer, np.full(len(answer), len(log_probs))
