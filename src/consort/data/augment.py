"""Augmentation of whole batches: one gather crops and flips, with no per-image Python.

Random numbers are drawn for the global batch from (seed, step), so that a resumed training and any number of processes
see the same images.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Random choices for a batch of n images, each integer or bool [n]."""

    shift_y: np.ndarray
    shift_x: np.ndarray
    flip: np.ndarray
    hole_y: np.ndarray
    hole_x: np.ndarray

    def part(self, rank: int, processes: int) -> "Draws":
        """The share of one process."""
        return Draws(*(getattr(self, f)[rank::processes] for f in self.__dataclass_fields__))


def draw(n: int, size: tuple[int, int], padding: int, flip: bool, random: np.random.Generator) -> Draws:
    """Shifts of -padding..padding, fair flips (or none), and the centres of cutout squares."""
    return Draws(random.integers(-padding, padding + 1, n), random.integers(-padding, padding + 1, n),
                 random.random(n) < (0.5 if flip else 0.0), random.integers(0, size[0], n),
                 random.integers(0, size[1], n))


class Crops:
    """Random crops of images of one size, perhaps mirrored, over a border that reflects.

    The border is never built: a row or column outside the image is read at its mirror position inside. All shifts have
    their positions in a table, so that a step on a GPU looks them up and computes nothing.
    """

    def __init__(self, size: tuple[int, int], padding: int, device: torch.device) -> None:
        (height, width), self.padding = size, padding
        shifts = np.arange(-padding, padding + 1)[:, None]
        rows, columns = (_reflected(np.arange(side) + shifts, side) for side in (height, width))
        self.rows = torch.from_numpy(rows).to(device)
        """int64 [shifts, H]: which row of the image each row of the crop is."""
        self.columns = torch.from_numpy(np.concatenate([columns, columns[:, ::-1]])).to(device)
        """int64 [2 x shifts, W]: the same for columns, mirrored in the second half."""

    def choices(self, draws: Draws) -> np.ndarray:
        """int64 [2, n]: the rows of both tables that these shifts and flips are."""
        shifts = 2 * self.padding + 1
        return np.stack([draws.shift_y + self.padding, draws.shift_x + self.padding + shifts * draws.flip])

    def __call__(self, images: Tensor, index: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """uint8 [n, H, W, 3]: `images[index]`, cropped and mirrored; `down` and `across` are of `choices`."""
        rows, columns = self.rows.index_select(0, down), self.columns.index_select(0, across)
        return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflected(position: np.ndarray, size: int) -> np.ndarray:
    position = np.abs(position)
    return np.where(position >= size, 2 * (size - 1) - position, position)


class Normalise:
    """Brings images to mean 0 and deviation 1 per channel; what it multiplies with stays on the device."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device) -> None:
        self.device = device
        self.scale = (1 / (255 * torch.tensor(std))).to(device)
        self.shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [n, H, W, 3] -> float32 [n, 3, H, W] in channels-last layout."""
        x = images.to(self.device, non_blocking=True).float()
        return x.mul_(self.scale).add_(self.shift).permute(0, 3, 1, 2)


def cut_out(x: Tensor, hole_y: Tensor, hole_x: Tensor, side: int) -> Tensor:
    """Set a square of `side` pixels around each hole to the mean colour, in place (DeVries and Taylor 2017)."""
    height, width = x.shape[2:]
    from_row, from_column = (hole[:, None] - side // 2 for hole in (hole_y, hole_x))
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= from_row) & (rows < from_row + side)
    in_columns = (columns >= from_column) & (columns < from_column + side)
    hole = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return x.masked_fill_(hole, 0.0)
