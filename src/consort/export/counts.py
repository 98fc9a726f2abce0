"""What a server counts, in Prometheus' text format.

This file is part of every bundle, beside what uses it, and needs Python alone.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Histogram:
    """How often a value was at most each of some bounds."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self.bounds = name, help, bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def see(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        so_far = 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            yield f'{self.name}_bucket{{le="{bound}"}} {so_far}'
        yield f"{self.name}_sum {self.total:.6f}"
        yield f"{self.name}_count {so_far}"


class Counts:
    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        """(Route, status) -> requests."""
        self.images: Counter[int] = Counter()
        """Members asked -> images."""
        self.seconds = Histogram("consort_request_seconds", "From a request's last byte to its answer.", SECONDS)
        self.batch = Histogram("consort_batch_images", "Images in a pass of the graph.", SIZES)
        self.passes = Histogram("consort_pass_seconds", "Duration of a pass of the graph.", SECONDS)

    def text(self, waiting: int) -> str:
        """All of it; waiting: images that wait now."""
        lines = ["# HELP consort_requests_total Requests, by route and status.",
                 "# TYPE consort_requests_total counter"]
        lines += [f'consort_requests_total{{route="{route}",code="{code}"}} {count}'
                  for (route, code), count in sorted(self.requests.items())]
        lines += ["# HELP consort_images_total Images answered, by how many members were asked.",
                  "# TYPE consort_images_total counter"]
        lines += [f'consort_images_total{{members_asked="{asked}"}} {count}'
                  for asked, count in sorted(self.images.items())]
        lines += ["# HELP consort_images_waiting Images that wait for a pass or are in one.",
                  "# TYPE consort_images_waiting gauge", f"consort_images_waiting {waiting}"]
        for histogram in (self.seconds, self.batch, self.passes):
            lines += histogram.lines()
        return "\n".join(lines) + "\n"
