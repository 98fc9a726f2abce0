"""How long an ensemble takes whose members each have a device of their own. No torch here."""

from collections.abc import Sequence

import numpy as np

from consort.costs.records import QUANTILES, LatencyRecord

STEPS = 40
"""Of halving the interval that the median lies in, which is then far below the digits that are kept."""


def slowest_ms(members: Sequence[LatencyRecord]) -> float:
    """The median of the slowest of these members' passes, which vary independently: a record for each member.

    It is more than the largest median: of n equal members it is one's quantile 0.5^(1/n), of three the 79th percentile.
    Between stored quantiles passes are taken to be spread evenly. A record with three of them knows nothing beyond the
    90th percentile, which then stands for all that is above.
    """
    if len(members) == 1:
        return members[0].median_ms
    known = [_quantiles(record) for record in members]
    low, high = (float(max(times[place] for _, times in known)) for place in (0, -1))
    for _ in range(STEPS):
        middle = (low + high) / 2
        if np.prod([_share_below(shares, times, middle) for shares, times in known]) < 0.5:
            low = middle
        else:
            high = middle
    return round(high, 4)


def _share_below(shares: np.ndarray, times: np.ndarray, ms: float) -> float:
    """Of the passes with these quantiles, those that take at most so long."""
    if ms >= times[-1]:
        return 1.0
    place = int(np.searchsorted(times, ms, side="right"))
    if place == 0:
        return 0.0
    within = (ms - times[place - 1]) / (times[place] - times[place - 1])
    return float(shares[place - 1] + within * (shares[place] - shares[place - 1]))


def _quantiles(record: LatencyRecord) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the passes, and the milliseconds that they take at most."""
    if record.quantiles_ms is None:
        return np.array([0.1, 0.5, 0.9]), np.array([record.p10_ms, record.median_ms, record.p90_ms])
    return np.linspace(0, 1, QUANTILES + 1), np.array(record.quantiles_ms)
