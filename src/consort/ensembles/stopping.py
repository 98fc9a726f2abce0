"""Where a cascade stops: which stage answers for an image, and thresholds per stage that are worth most."""

from collections.abc import Sequence

import numpy as np


def stage_that_answers(confidence: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """The stage [images], from 0, at which each image's answer is given; the last one answers in any case."""
    enough = confidence >= np.append(thresholds, -np.inf)[:, None].astype(np.float64)
    return enough.argmax(axis=0)


def best_thresholds(sure: np.ndarray, worth: np.ndarray, ranked: np.ndarray, price: np.ndarray) -> tuple[float, ...]:
    """Thresholds that together maximise the mean of (worth - price of the stage that answers), on these images.

    From the last stage back, each takes the best cut given those after it, on the images that reach it; twice, since
    which images reach a stage depends on the stages before. sure, worth [stages, images]; ranked: the images of each
    stage but the last, the surest first; price [stages].
    """
    thresholds = [np.inf] * len(price[:-1])
    for _ in range(2):
        for stage in reversed(range(len(thresholds))):
            reached = np.all(sure[:stage] < np.array(thresholds[:stage])[:, None], axis=0)
            images = ranked[stage][reached[ranked[stage]]]
            later = stage_that_answers(sure[stage + 1:, images], tuple(thresholds[stage + 1:])) + stage + 1
            advantage = (worth[stage, images].astype(np.float64) - price[stage]) - (worth[later, images] - price[later])
            thresholds[stage] = _best_cut(sure[stage, images], advantage)
    return tuple(thresholds)


def _best_cut(confidence: np.ndarray, advantage: np.ndarray) -> float:
    """The threshold above which the summed advantage is largest, half way between two images; inf where there is no
    advantage. Both [images], the surest first."""
    ranked, gained = confidence.astype(np.float64), np.cumsum(advantage)
    cuts = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[:len(ranked)])
    if not len(cuts):
        return np.inf
    best = cuts[gained[cuts].argmax()]
    return float(ranked[best:best + 2].mean()) if gained[best] > 0 else np.inf
