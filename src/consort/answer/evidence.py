"""What every candidate scores on every image: all that a choice within a new budget needs."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from consort.ensembles.metrics import bootstrap_means
from consort.errors import IntegrityError

RESAMPLES = 2000


@dataclass(frozen=True)
class Evidence:
    """Rows stand for the candidates of choices.json, in its order. Scores are those of ensembles.image_scores, larger
    is better: bool where the metric is accuracy."""

    val: np.ndarray
    """[candidates, validation images]"""
    test: np.ndarray
    """[candidates, test images]"""
    majority: np.ndarray
    """[test images]: of the best answer that is the same for every image, as validation has it."""
    one_image: tuple[float, float] = (1.0, 1.0)
    """What an image more or less is worth, of validation and of test."""

    @cached_property
    def resampled(self) -> np.ndarray:
        """The mean test scores of the candidates, and of `majority` at the end, in the same resamples of the images:
        [RESAMPLES, candidates + 1]."""
        return bootstrap_means(np.concatenate([self.test, self.majority[None]]), RESAMPLES)

    def to_bytes(self) -> bytes:
        """An .npz: packed bits, or scores as they are."""
        buffer = io.BytesIO()
        val, test, majority = (np.packbits(scores, axis=-1) if scores.dtype == bool else scores
                               for scores in (self.val, self.test, self.majority))
        np.savez_compressed(buffer, images=np.array([self.val.shape[1], self.test.shape[1]]), val=val, test=test,
                            majority=majority, one_image=np.array(self.one_image))
        return buffer.getvalue()


def evidence_of(data: bytes, where: str) -> Evidence:
    """Read the .npz back; IntegrityError where it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            num_val, num_test = map(int, arrays["images"])
            one_image = tuple(map(float, arrays["one_image"])) if "one_image" in arrays else (1.0, 1.0)
            val, test, majority = (_scores(arrays[name], images) for name, images in (
                ("val", num_val), ("test", num_test), ("majority", num_test)))
            return Evidence(val, test, majority, (one_image[0], one_image[1]))
    except (ValueError, KeyError, IndexError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise IntegrityError(f"{where} is not readable: {e}. `consort evaluate` writes it anew.") from e


def _scores(stored: np.ndarray, images: int) -> np.ndarray:
    return np.unpackbits(stored, axis=-1, count=images).astype(bool) if stored.dtype == np.uint8 else stored


def behind(scores: np.ndarray, one: int, others: Sequence[int], one_image: float) -> tuple[np.ndarray, np.ndarray]:
    """By how much each of the others' mean score is below that of `one`, and the standard error of that paired
    difference: [others] each.

    One image is added of each of the two kinds that tell them apart, worth `one_image` (of two accuracies that is the
    rule of Bonett and Price 2012), so that two candidates that never differ are not known to differ by nothing: the
    error is then about 1.4 / images, and never 0.
    """
    rows, num_images = list(others), scores.shape[1]
    sums = scores.sum(axis=1, dtype=np.int64 if scores.dtype == bool else np.float64)
    difference = (sums[one] - sums[rows]) / num_images
    if scores.dtype == bool:
        squares = np.count_nonzero(scores[rows] != scores[one], axis=1)
    else:
        squares = np.array([((scores[row] - scores[one])**2).sum(dtype=np.float64) for row in rows])
    images = num_images + 2
    shrunken = difference * num_images / images
    return difference, np.sqrt(np.maximum((squares + 2 * one_image**2) / images - shrunken**2, 0) / images)
