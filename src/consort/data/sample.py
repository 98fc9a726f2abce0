"""Some images of a source, looked at before the rest is read: how large and how deep they are."""

import statistics
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consort.data.image_folder import ImageFolder
from consort.data.pixels import opened, shown_size

NUM_LOOKED_AT = 50
"""Up to twice as many are looked at."""
MOST_BITS_UNUSUAL = 14
"""16-bit images of which none is brighter than a quarter hold fewer bits, rather than being so dark."""


@dataclass(frozen=True)
class Sample:
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of every readable image, as it is shown."""
    highest_levels: tuple[int, ...] = ()
    """The largest value of every image of 16-bit grey."""

    @property
    def shorter_side(self) -> int:
        """The median of the shorter sides in pixels; 0 where no image was readable."""
        return statistics.median_low([min(size) for size in self.sizes] or [0])

    @property
    def common_side(self) -> int | None:
        """The side of the squares that more than half of the images are."""
        (width, height), count = Counter(self.sizes).most_common(1)[0] if self.sizes else ((0, 1), 0)
        return width if width == height and 2 * count > len(self.sizes) else None

    def depth_warning(self) -> str | None:
        """That images of 16-bit grey hold fewer bits, as cameras and scanners write 12: their upper 8 bits are dark."""
        highest = max(self.highest_levels, default=0)
        if not highest or highest.bit_length() > MOST_BITS_UNUSUAL:
            return None
        return (f"the largest value of the images of 16-bit grey ({len(self.highest_levels)}) that were looked at is "
                f"{highest:,}, which needs {highest.bit_length()} bits of the 16. Their upper 8 bits are what is seen: "
                f"the images are dark. Multiply their values by {2 ** (16 - highest.bit_length())} before.")


def look(folder: ImageFolder, paths: Sequence[str]) -> Sample:
    """Look at some of the images. Those that cannot be read are passed over: whoever reads all of them says so."""
    sizes, levels = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata, with which images can be read all the same
        for path in paths[::max(1, len(paths) // NUM_LOOKED_AT)]:
            try:
                image = opened(folder.read(path))
                size = shown_size(image)
                if image.mode.startswith("I"):
                    levels.append(int(np.asarray(image).max()))
            except Exception:  # in any of the ways that files can be unreadable
                continue
            sizes.append(size)
    return Sample(tuple(sizes), tuple(levels))
