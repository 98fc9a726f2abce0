"""How published weights want their images: the steps that torchvision and timm take, described as plain values.

Both resize with Pillow, which smooths what it makes smaller (antialias), then cut out the centre. Where they round,
this rounds the same way, so that pixels are equal.

This file is part of every bundle, beside what uses it, and needs numpy and pillow alone.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from consort.data.pixels import MOST_PIXELS

Size = tuple[int, int]
AS_PREPARED = "data"
"""Preprocessing.fit: not by this description, but as the data are prepared; its mean and deviation count."""


@dataclass(frozen=True)
class Preprocessing:
    """From an RGB image to what a network takes. Sizes are (height, width) in pixels."""

    resize: Size
    crop: Size
    fit: str = "shorter"
    """shorter: the shorter side becomes the first of `resize`, the ratio stays (torchvision). cover: as small as
    covers `resize`. exact: to `resize`, whatever the ratio. inside: as large as fits into `resize`. data: see
    AS_PREPARED."""
    interpolation: str = "bilinear"
    """bilinear, bicubic, nearest, box, hamming or lanczos."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """The network takes (value / 255 - mean) / std per channel."""
    fill: tuple[int, int, int] = (0, 0, 0)
    """The colour around an image that is smaller than `crop`."""
    source: str = ""
    """Whose it is, such as "torchvision resnet50 IMAGENET1K_V2"."""
    antialias: bool = True

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """From `to_dict`, also after it was JSON."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def at(self, side: int) -> "Preprocessing":
        """The same for a network that takes another side: what is cut off keeps its share."""
        height, width = (round(r * side / c) for r, c in zip(self.resize, self.crop, strict=True))
        return replace(self, resize=(height, width), crop=(side, side))

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> uint8 [crop height, crop width, 3]."""
        height, width = self.resized(image.shape[0], image.shape[1])
        if height * width > MOST_PIXELS:  # a strip: most of it would be made large to be cut off
            image = self._middle(image, (height, width))
            height, width = self.resized(image.shape[0], image.shape[1])
        resized = image
        if (height, width) != image.shape[:2]:
            resized = np.asarray(Image.fromarray(image).resize((width, height), resampling(self.interpolation)))
        return self._centre(resized)

    def resized(self, height: int, width: int) -> Size:
        """What an image of this height and width is resized to, before it is cropped."""
        if self.fit == "exact":
            return self.resize
        if self.fit == "shorter":
            short, long = sorted((height, width))
            longer = int(self.resize[0] * long / short)
            return (self.resize[0], longer) if height <= width else (longer, self.resize[0])
        ratios = height / self.resize[0], width / self.resize[1]
        ratio = max(ratios) if self.fit == "inside" else min(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _middle(self, image: np.ndarray, resized: Size) -> np.ndarray:
        """Twice what will be seen of an image that would be resized to this."""
        sides = [math.ceil(2 * max(wanted) * side / long)
                 for *wanted, side, long in zip(self.resize, self.crop, image.shape, resized, strict=False)]
        (top, height), (left, width) = (taken(s, min(s, kept)) for s, kept in zip(image.shape, sides, strict=False))
        return image[top:top + height, left:left + width]

    def _centre(self, image: np.ndarray) -> np.ndarray:
        (top, height), (left, width) = (taken(s, c) for s, c in zip(image.shape, self.crop, strict=False))
        cut = image[max(0, top):top + height, max(0, left):left + width]
        if cut.shape[:2] == (height, width):
            return cut
        framed = np.empty((height, width, 3), np.uint8)
        framed[:] = self.fill
        above, before = max(0, -top), max(0, -left)
        framed[above:above + cut.shape[0], before:before + cut.shape[1]] = cut
        return framed


def taken(side: int, crop: int) -> tuple[int, int]:
    """Of a side, the first pixel and the number of those that the centre of `crop` pixels has; the first is negative
    where the centre is larger than the side."""
    return (round((side - crop) / 2) if side >= crop else -((crop - side) // 2)), crop


def resampling(interpolation: str) -> Image.Resampling:
    """Pillow's name of it."""
    return Image.Resampling[interpolation.upper()]
