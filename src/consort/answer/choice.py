"""The choice within a budget. Validation decides; no test image is looked at here.

The rule, of the candidates that keep every bound of the budget:
- *best*: the highest accuracy on validation, then the lowest NLL, then the fewest MACs;
- *partner*: the best of those that are singles;
- *candidate*, which is recommended: the simplest of those that are not below the partner on validation and not more
  than one standard error of the paired difference below the best. Simplest: the fewest networks that one image can be
  put to, then the fewest MACs, then as in *best*. So an ensemble is recommended only where validation tells it from the
  best single, and what is recommended is never below that single there;
- *alternative*: for an ensemble or cascade the partner, for a single the best that is no single.

The one-standard-error rule is that of Breiman et al. 1984 (section 3.4.3), here on paired differences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consort.answer.budgets import fits
from consort.answer.choices import Candidate
from consort.answer.evidence import apart, standard_error


@dataclass(frozen=True)
class Chosen:
    """Places in the list of candidates."""

    candidate: int
    best: int
    partner: int | None
    alternative: int | None


def best_first(candidates: Sequence[Candidate]) -> list[int]:
    """Places of the candidates, the best on validation first."""
    return sorted(range(len(candidates)), key=lambda i: _rank(candidates[i]))


def simplest_first(candidates: Sequence[Candidate]) -> list[int]:
    """Places of the candidates, the simplest first."""
    return sorted(range(len(candidates)), key=lambda i: (len(candidates[i].members), candidates[i].costs.macs,
                                                         *_rank(candidates[i])))


def choose(candidates: Sequence[Candidate], right: np.ndarray, budget: Mapping[str, float]) -> Chosen | None:
    """What to deploy within a budget; None where nothing fits. right: bool [candidates, validation images]."""
    within = [i for i in best_first(candidates) if fits(candidates[i].costs, budget)]
    if not within:
        return None
    best = within[0]
    partner = next((i for i in within if candidates[i].kind == "single"), None)
    not_told = untold(right, best, within)
    floor = 0 if partner is None else int(right[partner].sum())
    allowed = {i for i in within if i in not_told and right[i].sum() >= floor}
    candidate = next(i for i in simplest_first(candidates) if i in allowed)
    if candidates[candidate].kind == "single":
        alternative = next((i for i in within if candidates[i].kind != "single"), None)
    else:
        alternative = partner
    return Chosen(candidate, best, partner, alternative)


def untold(right: np.ndarray, best: int, others: Sequence[int]) -> set[int]:
    """Those of the others that are at most one standard error of the paired difference below the best."""
    num_images = right.shape[1]
    behind = (right[best].sum() - right[list(others)].sum(axis=1)) / num_images
    near = behind <= standard_error(behind, apart(right, best, others), num_images)
    return {i for i, close in zip(others, near, strict=True) if close}


def _rank(one: Candidate) -> tuple[float, float, float]:
    return -one.val.accuracy, one.val.nll, one.costs.macs
