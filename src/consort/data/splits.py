"""Which images are for training and which for validation, and what the training images are like."""

import numpy as np

from consort.errors import InputError
from consort.plurals import counted
from consort.study.data import Data


def split_indices(labels: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and the validation images, both sorted, stratified by class, fixed by `split_seed`.

    Raises InputError where the images do not suffice.
    """
    n = len(labels)
    num_val = data.val_images if data.val_images is not None else max(1, n // 10)
    num_train = data.train_images if data.train_images is not None else n - num_val
    if num_val >= n:
        raise InputError(f"val_images must leave at least one of the {counted(n, 'image')} in train/ to train on, got "
                         f"{num_val}.")
    if num_val + num_train > n:
        raise InputError(f"train_images + val_images must not exceed the {counted(n, 'image')} in train/, got "
                         f"{num_train} + {num_val}.")
    order = _stratified(labels, data.split_seed)
    return np.sort(order[num_val:num_val + num_train]), np.sort(order[:num_val])


def some_of(labels: np.ndarray, number: int | None, setting: str, folder: str, split_seed: int) -> np.ndarray:
    """Sorted indices of so many images of a folder, or of all of them; drawn as split_indices draws."""
    if number is None:
        return np.arange(len(labels))
    if number > len(labels):
        raise InputError(f"{setting} must not exceed the {counted(len(labels), 'image')} in {folder}/, got {number}.")
    return np.sort(_stratified(labels, split_seed)[:number])


def _stratified(labels: np.ndarray, seed: int) -> np.ndarray:
    """The images in an order in which every stretch has the classes in their shares."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        position[of_class] = (np.arange(len(of_class)) + random.random()) / len(of_class)
    return np.argsort(position, kind="stable")


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of uint8 [N, H, W, 3], scaled to 0..1, from exact integer sums."""
    count = images[..., 0].size
    histogram = [np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])]
    levels = np.arange(256) / 255
    means = [float(h @ levels) / count for h in histogram]
    stds = [max(float(np.sqrt(h @ (levels - m) ** 2 / count)), 1e-3) for h, m in zip(histogram, means, strict=True)]
    return means, stds
