"""[evaluate] and [latency] of a study file: how what was trained is compared."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from consort.settings import AsList, PositiveInt, Table

ON_GPU = (1, 8, 64)
"""Batch sizes that are measured on GPUs unless a study says otherwise."""


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
    batch_size: PositiveInt | None = None
    """Of one batch; short for `batch_sizes` with one number."""
    batch_sizes: Annotated[tuple[PositiveInt, ...], AsList] | None = None
    """Images per forward pass; the first is what answers are about. By default ON_GPU on GPUs, and 1 elsewhere."""
    threads: PositiveInt = 1
    repeats: Annotated[int, Field(ge=3)] = 50
    hardware: str | None = None
    """Id of the hardware whose measurements are shown; by default this one's, or those that the store has most of."""
    runtime: Literal["torch", "graph", "onnxruntime"] | None = None
    """What runs the networks that are timed. torch: as written, operator by operator; graph: a CUDA graph, the default
    on GPUs; onnxruntime: as a bundle does, on the CPU."""

    @field_validator("batch_sizes")
    @classmethod
    def _batch_sizes_differ(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or len(set(value)) != len(value)):
            raise ValueError(f"batch_sizes names one or more numbers of images, once each, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "Latency":
        if self.batch_size is not None and self.batch_sizes is not None:
            raise ValueError("batch_size is short for batch_sizes with one number: give one of the two")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, serialize: Callable) -> dict:
        """Without what was left open, since that depends on where it is measured."""
        return {key: value for key, value in serialize(self).items() if value is not None}

    def batches(self, gpu: bool) -> tuple[int, ...]:
        """The batch sizes to measure where there is a GPU, or none."""
        one = None if self.batch_size is None else (self.batch_size,)
        return self.batch_sizes or one or (ON_GPU if gpu else (1,))

    @property
    def first_batch(self) -> int:
        """The batch size that answers and searches are about."""
        return self.batches(gpu=False)[0]

    def runtime_on(self, gpu: bool) -> str:
        """What runs the networks where there is a GPU, or none."""
        return self.runtime or ("graph" if gpu else "torch")

    def identity(self) -> dict:
        """What it says, in the first version's words where that had any: run names are hashes over this, and stay what
        they were."""
        sizes = self.batches(gpu=False)
        values = self.model_dump(mode="json", exclude={"batch_size", "batch_sizes"})
        if values.get("runtime") == "torch":
            del values["runtime"]
        return values | ({"batch_size": sizes[0]} if len(sizes) == 1 else {"batch_sizes": list(sizes)})
