"""[answer] of a study file: within which budgets the report answers, and what counts as a loss."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_serializer

from consort.settings import AsList, Table

COSTS = ("macs", "macs_worst", "serial_ms", "serial_p99_ms", "serial_worst_ms", "parallel_ms", "params", "bytes",
         "train_macs")
"""What a budget can bound; the fields of answer.choices.Costs."""

SHORT = {"ms": ("serial_ms", 1.0), "mb": ("bytes", 1e6)}
"""Short name -> the cost and how many of its unit one is."""

Budget = dict[str, float]

PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def amount(text: str) -> float:
    """100M, 1.5G, 250k or 4000 as a number; raises ValueError."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)\s*", text)
    value = float(match[1]) * PREFIXES[match[2].lower()] if match else 0.0
    if not 0 < value < math.inf:
        raise ValueError(f"an amount is a number above 0, with k, M, G or T behind it or nothing, got {text!r}")
    return value


class Answer(Table):
    metric: Literal["accuracy", "balanced_accuracy", "nll"] = "accuracy"
    """By what the best is the best: the share of right answers, its mean over the classes, or the negative
    log-likelihood (nats, smaller is better)."""
    budgets: Annotated[tuple[Budget, ...], AsList] = ()
    """Upper bounds, such as { macs = "100M", ms = 5 }; the first is the headline's. By default at the costs of the
    singles and round figures between."""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    """"As good within the margin" and "not worse by more than the margin" are said of a tie (0.005: half a point), in
    the unit of the metric."""
    cascade_loss: Annotated[float, Field(gt=0, lt=1)] = 0.002
    """A cascade's promise: it loses at most this much accuracy against asking all of its members."""

    @model_serializer(mode="wrap")
    def _as_given(self, serialize: Callable) -> dict:
        """Without the metric that there was before there were several: run names are hashes over this."""
        return {key: value for key, value in serialize(self).items() if (key, value) != ("metric", "accuracy")}

    @field_validator("budgets", mode="before")
    @classmethod
    def _amounts(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
            raise ValueError('budgets is a list of tables of upper bounds, such as [{ macs = "100M" }, { ms = 5 }]')
        return [dict(_bound(name, amount) for name, amount in one.items()) for one in value]


def _bound(name: str, given: Any) -> tuple[str, float]:
    cost, unit = SHORT.get(name, (name, 1.0))
    if cost not in COSTS:
        raise ValueError(f"a budget bounds {', '.join((*SHORT, *COSTS))}, got {name!r}")
    number = amount(given) if isinstance(given, str) else given
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise ValueError(f'a bound is a number above 0, or a text such as "100M", got {name} = {given!r}')
    return cost, unit * number
