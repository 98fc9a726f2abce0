"""Which images every candidate is right about: all that a choice within a new budget needs."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.errors import IntegrityError


@dataclass(frozen=True)
class Evidence:
    """Rows stand for the candidates of choices.json, in its order."""

    val: np.ndarray
    """bool [candidates, validation images]: right or not."""
    test: np.ndarray
    """bool [candidates, test images]."""
    majority: np.ndarray
    """bool [test images]: whether the most frequent class of the validation images is right."""

    def to_bytes(self) -> bytes:
        """An .npz of packed bits."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=np.array([self.val.shape[1], self.test.shape[1]]),
                            val=np.packbits(self.val, axis=1), test=np.packbits(self.test, axis=1),
                            majority=np.packbits(self.majority))
        return buffer.getvalue()


def evidence_of(data: bytes, where: str) -> Evidence:
    """Read the .npz back; IntegrityError where it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            num_val, num_test = map(int, arrays["images"])
            return Evidence(np.unpackbits(arrays["val"], axis=1, count=num_val).astype(bool),
                            np.unpackbits(arrays["test"], axis=1, count=num_test).astype(bool),
                            np.unpackbits(arrays["majority"], count=num_test).astype(bool))
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise IntegrityError(f"{where} is not readable: {e}. `consort evaluate` writes it anew.") from e


def apart(right: np.ndarray, one: int, others: Sequence[int]) -> np.ndarray:
    """On how many images exactly one of the two is right: int [others]."""
    return np.count_nonzero(right[list(others)] != right[one], axis=1)


def standard_error(difference: np.ndarray, discordant: np.ndarray, num_images: int) -> np.ndarray:
    """Of a paired difference of two accuracies, from the number of images that exactly one of the two is right about.

    One image is added to each of the two kinds of discordant ones (Bonett and Price 2012), so that two candidates that
    never differ are not known to differ by nothing: the error is then about 1.4 / images, and never 0.
    """
    images = num_images + 2
    difference = np.asarray(difference) * num_images / images
    return np.sqrt(((np.asarray(discordant) + 2) / images - difference**2) / images)

