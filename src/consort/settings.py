"""What the tables of a study file are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

STORED = "stored"
"""The context of validating what a store has, beside rules that came later."""
PositiveInt = Annotated[int, Field(ge=1)]
AsList = Field(strict=False)
"""TOML has lists where the records have tuples; what is in them is as strict as the rest."""


class Table(BaseModel):
    """A table of the study file: nothing unknown, nothing guessed, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
