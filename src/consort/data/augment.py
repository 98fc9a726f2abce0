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
    """Random choices for a batch of n images, each int64 or bool [n]."""

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


def gather(images: Tensor, index: Tensor, draws: Draws) -> Tensor:
    """uint8 [n, H, W, 3]: `images[index]`, each shifted over a border that reflects and perhaps mirrored.

    The border is never built: a row or column outside the image is read at its mirror position inside.
    """
    height, width = images.shape[1:3]
    rows = _reflected(torch.arange(height) + torch.from_numpy(draws.shift_y)[:, None], height)
    straight = torch.arange(width) + torch.from_numpy(draws.shift_x)[:, None]
    columns = _reflected(torch.where(torch.from_numpy(draws.flip)[:, None], straight.flip(1), straight), width)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflected(position: Tensor, size: int) -> Tensor:
    position = position.abs()
    return torch.where(position >= size, 2 * (size - 1) - position, position)


def normalise(images: Tensor, mean: list[float], std: list[float], device: torch.device) -> Tensor:
    """uint8 [n, H, W, 3] -> float32 [n, 3, H, W] in channels-last layout, with mean 0 and deviation 1 per channel."""
    x = images.to(device, non_blocking=True).float()
    scale = 1 / (255 * torch.tensor(std, device=device))
    shift = -torch.tensor(mean, device=device) / torch.tensor(std, device=device)
    return x.mul_(scale).add_(shift).permute(0, 3, 1, 2)


def cut_out(x: Tensor, draws: Draws, side: int) -> Tensor:
    """Set a square of `side` pixels around each hole to the mean colour, in place (DeVries and Taylor 2017)."""
    height, width = x.shape[2:]
    from_row = torch.from_numpy(draws.hole_y)[:, None] - side // 2
    from_column = torch.from_numpy(draws.hole_x)[:, None] - side // 2
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= from_row) & (rows < from_row + side)
    in_columns = (columns >= from_column) & (columns < from_column + side)
    hole = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return x.masked_fill_(hole.to(x.device), 0.0)
