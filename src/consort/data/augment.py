"""Augmentation of whole batches: one gather crops and flips, with no per-image Python.

Random numbers are drawn for the global batch from (seed, step), so that a resumed training and any number of processes
see the same images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Random choices for a batch of n images, each integer or bool [n]; arrays, or tensors where the images are."""

    shift_y: Any
    shift_x: Any
    flip: Any
    hole_y: Any
    hole_x: Any

    def part(self, rank: int, processes: int) -> "Draws":
        """The share of one process."""
        return Draws(*(getattr(self, f)[rank::processes] for f in self.__dataclass_fields__))

    def rows(self) -> np.ndarray:
        """int32 [5, n], to send to a device in one piece."""
        return np.stack([getattr(self, f) for f in self.__dataclass_fields__]).astype(np.int32)

    @classmethod
    def from_rows(cls, rows: Tensor) -> "Draws":
        """The draws of `rows`, as tensors on its device."""
        shift_y, shift_x, flip, hole_y, hole_x = rows.unbind()
        return cls(shift_y, shift_x, flip.bool(), hole_y, hole_x)


def draw(n: int, size: tuple[int, int], padding: int, flip: bool, random: np.random.Generator) -> Draws:
    """Shifts of -padding..padding, fair flips (or none), and the centres of cutout squares."""
    return Draws(random.integers(-padding, padding + 1, n), random.integers(-padding, padding + 1, n),
                 random.random(n) < (0.5 if flip else 0.0), random.integers(0, size[0], n),
                 random.integers(0, size[1], n))


def gather(images: Tensor, index: Tensor, draws: Draws) -> Tensor:
    """uint8 [n, H, W, 3]: `images[index]`, each shifted over a border that reflects and perhaps mirrored.

    The border is never built: a row or column outside the image is read at its mirror position inside.
    """
    device = images.device
    shift_y, shift_x, flip = (torch.as_tensor(d, device=device) for d in (draws.shift_y, draws.shift_x, draws.flip))
    height, width = images.shape[1:3]
    rows = _reflected(torch.arange(height, device=device) + shift_y[:, None], height)
    straight = torch.arange(width, device=device) + shift_x[:, None]
    columns = _reflected(torch.where(flip[:, None], straight.flip(1), straight), width)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflected(position: Tensor, size: int) -> Tensor:
    position = position.abs()
    return torch.where(position >= size, 2 * (size - 1) - position, position)


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


def cut_out(x: Tensor, draws: Draws, side: int) -> Tensor:
    """Set a square of `side` pixels around each hole to the mean colour, in place (DeVries and Taylor 2017)."""
    height, width = x.shape[2:]
    from_row, from_column = (torch.as_tensor(hole, device=x.device)[:, None] - side // 2
                             for hole in (draws.hole_y, draws.hole_x))
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= from_row) & (rows < from_row + side)
    in_columns = (columns >= from_column) & (columns < from_column + side)
    hole = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return x.masked_fill_(hole, 0.0)
