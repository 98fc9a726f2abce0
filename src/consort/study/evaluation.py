"""[evaluate] and [latency] of a study file: how what was trained is compared."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_serializer

from consort.settings import AsList, PositiveInt, Table


class Evaluate(Table):
    combine: Annotated[tuple[Literal["geometric", "arithmetic"], ...], AsList] = ("geometric", "arithmetic")
    """How members' predictions become one; the first is the one that the answer is about."""
    mixed_members: Annotated[int, Field(ge=1, le=6)] = 3
    """Mixed ensembles have at most this many members."""
    max_subsets: PositiveInt = 2000
    """Subsets of seeds averaged per ensemble; above this number, a fixed random sample."""
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

    @field_validator("combine")
    @classmethod
    def _not_empty(cls, value: tuple) -> tuple:
        if not value or len(set(value)) != len(value):
            raise ValueError(f"combine names one or both of geometric and arithmetic, once each, got {list(value)}")
        return value


class Latency(Table):
    batch_size: PositiveInt = 1
    threads: PositiveInt = 1
    repeats: Annotated[int, Field(ge=3)] = 50
    hardware: str | None = None
    """Id of the hardware whose measurements are shown; by default this one's, or those that the store has most of."""

    runtime: Literal["torch", "onnxruntime"] = "torch"
    """What runs the networks that are timed; onnxruntime: as a bundle does, on the CPU."""

    @model_serializer(mode="wrap")
    def _as_given(self, serialize: Callable) -> dict:
        """Without what is as in the first version: run names are hashes over this, and stay what they were."""
        before = {"hardware": None, "runtime": "torch"}
        return {key: value for key, value in serialize(self).items() if key not in before or value != before[key]}
