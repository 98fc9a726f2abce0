"""What candidates cost beside one image after another: in batches, and with all members on one GPU at the same time.

In a batch a cascade asks its first member about every image, and each later one about those that are left, gathered
into a smaller batch. A small batch takes longer for an image, so stopping early is worth less there than one image at
a time.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from consort.costs.records import LatencyRecord

Times = dict[int, float]
"""Batch size -> median milliseconds of a pass."""
PerImage = dict[str, float]
"""Batch size -> milliseconds for an image in such a batch; sizes are text, which JSON needs."""


@dataclass(frozen=True)
class Beside:
    """The latencies of a run beside those that its answers are about."""

    times: dict[str, Times] = field(default_factory=dict)
    """Architecture -> its latencies at every batch size."""
    together: list[LatencyRecord] = field(default_factory=list)

    @classmethod
    def of(cls, latencies: Sequence[LatencyRecord], more: Sequence[LatencyRecord]) -> "Beside":
        """latencies: those that answers are about; more: all others. Batches are set beside single images, so nothing
        is said of them where answers are about batches themselves."""
        times: defaultdict[str, Times] = defaultdict(dict)
        if all(record.batch_size == 1 for record in latencies):
            for record in (*latencies, *(record for record in more if record.together is None)):
                times[record.architecture][record.batch_size] = record.median_ms
        return cls(dict(times), [record for record in more if record.together is not None])

    def batched(self, order: Sequence[str], asked: np.ndarray) -> tuple[PerImage, PerImage] | tuple[None, None]:
        """For members in this order, at every batch size above 1 that is known of all: the mean, and when every member
        is asked about every image. Nothing where no such size is known.

        order: their architectures. asked: how many of them each image was put to.
        """
        timed = [self.times.get(architecture, {}) for architecture in order]
        sizes = [size for size in sorted(set(timed[0]).intersection(*timed[1:])) if size > 1]
        if not sizes:
            return None, None
        shares = [float((asked > place).mean()) for place in range(len(order))]
        mean, worst = ({str(size): round(ms_per_image(size, some, timed), 6) for size in sizes}
                       for some in (shares, [1.0] * len(order)))
        return mean, worst

    def concurrent_ms(self, architectures: Sequence[str]) -> float | None:
        """Of these members at the same time on one GPU, where that was measured."""
        wanted = Counter(architectures)
        return next((record.median_ms for record in self.together if Counter(record.together) == wanted), None)


NOTHING_BESIDE = Beside()


def ms_per_image(batch_size: int, shares: Sequence[float], timed: Sequence[Times]) -> float:
    """The expected milliseconds for an image of a batch of images that are drawn independently.

    shares: of the images that each member is asked about. How many of a batch that are is binomial; between measured
    batch sizes a pass takes as long as a straight line says, below the smallest as long as that, and for none nothing.
    """
    from scipy.stats import binom

    count = np.arange(batch_size + 1)
    total = 0.0
    for share, times in zip(shares, timed, strict=True):
        sizes = sorted(times)
        ms = np.interp(count, sizes, [times[size] for size in sizes])
        ms[0] = 0.0
        total += float(binom.pmf(count, batch_size, share) @ ms)
    return total / batch_size
