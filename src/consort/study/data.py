"""[data] of a study file: which images, and how they are split."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from consort.settings import AsList, PositiveInt, Table

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


class TestSet(Table):
    """A further test set, such as a shifted one: every member predicts it, and it gets rows of its own."""

    name: Name
    source: str
    """A folder or zip with `test/<class>/*`, its classes a subset of the data's."""


class Data(Table):
    source: str
    """digits, cifar10, cifar100, or the path of an image folder or zip (relative to the study file)."""
    train_images: PositiveInt | None = None
    """Train on this many images only, drawn by `split_seed`; the rest is left out."""
    val_images: PositiveInt | None = None
    """Images kept for validation; by default a tenth of the training images."""
    split_seed: int = 0
    image_size: Annotated[int, Field(ge=8, le=224)] | None = None
    """Resize to this side while decoding; by default images keep their size where they all share one, and are else
    brought to one by `data.size_rule`."""
    skip_unreadable: bool = False
    """Leave unreadable images out and count them, instead of stopping at the first."""
    duplicates: Literal["warn", "drop", "stop"] = "warn"
    """The same image twice: say so, keep one of each (one to test on before one to train on), or refuse the data."""
    also: Annotated[tuple[TestSet, ...], AsList] = ()

    @field_validator("also")
    @classmethod
    def _names_differ(cls, value: tuple[TestSet, ...]) -> tuple[TestSet, ...]:
        names = [extra.name for extra in value]
        taken = sorted({n for n in names if n in ("train", "val", "test") or names.count(n) > 1})
        if taken:
            raise ValueError(f"further test sets need names of their own, other than train, val and test; {taken} are "
                             "taken")
        return value
