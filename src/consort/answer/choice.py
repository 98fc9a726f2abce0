"""The choice within a budget. Validation decides; no test image is looked at here.

The rule, of the candidates that keep every bound of the budget:
- *best*: the best value of the study's metric on validation, then the lowest NLL, then the fewest MACs;
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

from consort.answer.budgets import fits
from consort.answer.choices import Candidate, Choices
from consort.answer.evidence import Evidence, behind
from consort.answer.metric import goodness


@dataclass(frozen=True)
class Chosen:
    """Places in the list of candidates."""

    candidate: int
    best: int
    partner: int | None
    alternative: int | None


def best_first(candidates: Sequence[Candidate], metric: str = "accuracy") -> list[int]:
    """Places of the candidates, the best on validation first."""
    return sorted(range(len(candidates)), key=lambda i: _rank(candidates[i], metric))


def simplest_first(candidates: Sequence[Candidate], metric: str = "accuracy") -> list[int]:
    """Places of the candidates, the simplest first."""
    return sorted(range(len(candidates)), key=lambda i: (len(candidates[i].members), candidates[i].costs.macs,
                                                         *_rank(candidates[i], metric)))


def choose(found: Choices, evidence: Evidence, budget: Mapping[str, float]) -> Chosen | None:
    """What to deploy within a budget; None where nothing fits."""
    candidates, metric = found.candidates, found.metric
    within = [i for i in best_first(candidates, metric) if fits(candidates[i].costs, budget)]
    if not within:
        return None
    best = within[0]
    partner = next((i for i in within if candidates[i].kind == "single"), None)
    not_told, values = untold(evidence, best, within), [goodness(metric, one.val.value) for one in candidates]
    allowed = {i for i in within if i in not_told and (partner is None or values[i] >= values[partner])}
    candidate = next(i for i in simplest_first(candidates, metric) if i in allowed)
    if candidates[candidate].kind == "single":
        alternative = next((i for i in within if candidates[i].kind != "single"), None)
    else:
        alternative = partner
    return Chosen(candidate, best, partner, alternative)


def untold(evidence: Evidence, best: int, others: Sequence[int]) -> set[int]:
    """Those of the others that are at most one standard error of the paired difference below the best."""
    difference, error = behind(evidence.val, best, others, evidence.one_image[0])
    return {i for i, near in zip(others, difference <= error, strict=True) if near}


def _rank(one: Candidate, metric: str) -> tuple[float, float, float]:
    return -goodness(metric, one.val.value), one.val.nll, one.costs.macs
