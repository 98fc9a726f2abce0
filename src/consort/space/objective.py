"""What a candidate of a search is worth: one number from its accuracy and its latency."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from consort.errors import InputError
from consort.settings import Table

EXPONENTS = {"hard": -1.0, "soft": -0.07, "absolute": -0.07}
"""How much latency counts where a study does not say: MnasNet, section 3.1, and TuNAS."""


class Objective(Table):
    """Which latency a search aims at, and how candidates above and below it are rewarded."""

    target_latency_ms: Annotated[float, Field(gt=0, strict=False)]
    reward: Literal["hard", "soft", "absolute", "constrained"] = "soft"
    exponent: Annotated[float, Field(lt=0, strict=False)] | None = None
    """Another weight of the latency than the reward's own."""
    latency: Literal["parallel", "serial"] = "parallel"
    """Of an ensemble: its slowest member's, or the sum."""

    @model_validator(mode="after")
    def _weighs_something(self) -> "Objective":
        if self.reward == "constrained" and self.exponent is not None:
            raise ValueError('reward = "constrained" weighs nothing, so it takes no exponent')
        return self


def ensemble_latency_ms(latencies_ms: Sequence[float], how: str) -> float:
    """The latency of an ensemble of members of these: the slowest one's (parallel), or the sum (serial)."""
    return sum(latencies_ms) if how == "serial" else max(latencies_ms)


def reward(accuracy: float, latency_ms: float, objective: Objective) -> float:
    """The reward of an accuracy (0 to 1) at a latency; `T` is the target.

    soft         accuracy x (latency/T)^w below and above the target, w = -0.07 (MnasNet, Tan et al. 2019, eq. 3)
    hard         the accuracy up to the target; above it accuracy x (latency/T)^w, w = -1 (there, too)
    absolute     accuracy + w x |latency/T - 1|, w = -0.07 (TuNAS, Bender et al. 2020, section 3.2)
    constrained  the accuracy up to the target; above it minus the excess in parts of the target, which is below every
                 accuracy

    Raises InputError for a latency that is not above 0.
    """
    if not latency_ms > 0:
        raise InputError(f"a latency is more than 0 ms, got {latency_ms}.")
    target, form = objective.target_latency_ms, objective.reward
    if form == "constrained":
        return accuracy if latency_ms <= target else (target - latency_ms) / target
    if form == "hard" and latency_ms <= target:
        return accuracy
    weight = EXPONENTS[form] if objective.exponent is None else objective.exponent
    if form == "absolute":
        return accuracy + weight * abs(latency_ms / target - 1)
    return accuracy * (latency_ms / target) ** weight
