"""Budgets: upper bounds on what one image costs, and which of them a report answers without being asked."""

import math
from collections.abc import Iterable, Mapping, Sequence

from consort.answer.amounts import format_bytes, format_ms, format_round
from consort.answer.choices import Budget, Candidate, Costs

SLACK = 1e-9
"""Latencies are sums of floats: a rounding error must not put a network above a bound that is its own cost."""

WORDS = {
    "macs": ("{} MACs", format_round), "macs_worst": ("{} MACs for every image", format_round),
    "serial_ms": ("{}", format_ms), "serial_p99_ms": ("{} for 99 % of the images", format_ms),
    "serial_worst_ms": ("{} for every image", format_ms), "parallel_ms": ("{} with one device per member", format_ms),
    "params": ("{} parameters", format_round), "bytes": ("{}", format_bytes),
    "train_macs": ("{} MACs of training", format_round),
}
"""Cost -> how a bound on it is said. Every cost can be bounded."""

MAX_PER_COST = 14


def fits(costs: Costs, budget: Mapping[str, float]) -> bool:
    """Whether every bound is kept; an unknown cost keeps none."""
    return all((cost := getattr(costs, name)) is not None and cost <= bound * (1 + SLACK)
               for name, bound in budget.items())


def within_words(budget: Mapping[str, float]) -> str:
    """Such as "Within 100 M MACs and 5 ms", or "Without a bound on cost"."""
    return f"Within {bound_words(budget)}" if budget else "Without a bound on cost"


def bound_words(budget: Mapping[str, float]) -> str:
    """Such as "100 M MACs and 5 ms", or "no bound"."""
    parts = [WORDS[name][0].format(WORDS[name][1](bound)) for name, bound in budget.items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]][len(parts) == 1:]) if parts else "no bound"


def default_budgets(candidates: Sequence[Candidate]) -> list[Budget]:
    """At the MACs of the dearest single first, then down; the same in serial milliseconds; without bound."""
    found: list[Budget] = []
    for name in ("macs", "serial_ms"):
        singles = [cost for one in candidates if one.kind == "single"
                   and (cost := getattr(one.costs, name)) is not None]
        found += [{name: bound} for bound in _ladder(singles)]
    return [*found, {}]


def _ladder(costs: Iterable[float]) -> list[float]:
    """These costs and the round figures between them, falling; of many the costs alone, evenly thinned."""
    own = sorted(set(costs), reverse=True)
    if len(own) > MAX_PER_COST:
        return [own[round(i * (len(own) - 1) / (MAX_PER_COST - 1))] for i in range(MAX_PER_COST)]
    if len(own) < 2:
        return own
    between = [figure for figure in _round_figures(own[-1], own[0])
               if all(abs(math.log(figure / cost)) > 0.1 for cost in own)]
    return sorted([*own, *between[:MAX_PER_COST - len(own)]], reverse=True)


def _round_figures(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between the two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [figure for power in powers for m in (1, 2, 5) if low < (figure := m * 10.0**power) < high]
