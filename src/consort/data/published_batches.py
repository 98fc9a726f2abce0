"""Batches for weights that come with a preprocessing of their own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from consort.data.augment import Normalise
from consort.data.decode import decode
from consort.data.image_folder import ImageFolder
from consort.data.prepared import Prepared
from consort.data.preprocessing import Preprocessing
from consort.errors import InputError

PIXELS = 250 * 224 * 224
"""Of a batch, in all its images."""


def published_batches(data: Prepared, split: str, how: Preprocessing, device: torch.device,
                      workers: int = 0) -> Iterator[Tensor]:
    """float32 [n, 3, H, W] over a whole split in its fixed order, as the weights want them."""
    batch_size = max(1, PIXELS // (how.crop[0] * how.crop[1]))
    loader: Any = DataLoader(_PublishedImages(data, split, how), batch_size=batch_size, num_workers=workers,
                             collate_fn=_stack)
    normalise = Normalise(list(how.mean), list(how.std), device)
    for images in loader:
        yield normalise(images)


def _stack(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images))


class _PublishedImages(Dataset):
    """Images of either layout, resized and cropped as the weights want them."""

    def __init__(self, data: Prepared, split: str, how: Preprocessing) -> None:
        self.how, self.count = how, data.counts[split]
        streamed = data.manifest.layout == "files"
        self.arrays = None if streamed else data.images(split)
        self.folder = ImageFolder(data.image_root) if streamed else None
        self.paths = data.paths(split) if streamed else []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        return self.how.pixels(self._image(index))

    def _image(self, index: int) -> np.ndarray:
        if self.arrays is not None:
            return self.arrays[index]
        assert self.folder is not None
        try:
            return decode(self.folder.read(self.paths[index]), None)
        except (OSError, ValueError) as e:
            raise InputError(f"{self.folder.root}: {self.paths[index]} is not a readable image: {e}. Repair it, or "
                             "remove it and prepare the data again.") from e
