"""What a run found, for programs: tables, choices, and the report as files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from consort.answer.choices import Candidate, Choice, Choices
from consort.answer.decision import decide
from consort.answer.evidence import Evidence
from consort.errors import InputError, MissingKey
from consort.report import copy_report
from consort.run.choices import choices
from consort.run.run import Run
from consort.study.answer import Answer

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Results:
    """What a run that was evaluated says. Each part is read from the store when it is first asked for.

    Raises MissingKey, which is an InputError, where the run was not evaluated.
    """

    run: Run

    def __post_init__(self) -> None:
        if not self.run.has("summary.json"):
            raise MissingKey(f"{self.run.ref} was not evaluated: {self.run.store.uri} has no "
                             f"{self.run.key('summary.json')}. consort.execute(run) or `consort run` does it.")

    @cached_property
    def table(self) -> "pyarrow.Table":
        """results.parquet: a row for every ensemble, way of combining and test set; null where a value is not known.
        The columns are in docs/definitions.md."""
        import pyarrow
        from pyarrow import parquet

        return parquet.read_table(pyarrow.BufferReader(self.run.read("results.parquet")))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `table`, each as column -> value."""
        return self.table.to_pylist()

    @property
    def missing(self) -> dict[str, str]:
        """Planned member that the results are without -> why it was not there."""
        return dict(self.summary["missing"])

    @property
    def answer(self) -> str:
        """The headline: what to deploy within the first budget, against what, and how sure that is."""
        return self.choices.headline.text

    @property
    def choices(self) -> Choices:
        """choices.json: every candidate with its costs and accuracies, and what is chosen within each budget."""
        return self._answered[0]

    def choose(self, budget: Mapping[str, float | str] | None = None) -> Choice:
        """What to deploy within other upper bounds on costs, such as {"macs": "100M", "ms": 5}, written as in a study's
        `budgets`; by default without a bound. At once: nothing is trained or measured.

        Raises InputError for a bound that there is not, and where no candidate is within the bounds.
        """
        if not isinstance(budget, Mapping | None):
            raise InputError(f'a budget is upper bounds on costs, such as {{"macs": "100M", "ms": 5}}, got {budget!r}.')
        try:
            (bounds,) = Answer.model_validate({"budgets": [dict(budget or {})]}).budgets
        except ValidationError as e:
            raise InputError(e.errors()[0]["msg"].removeprefix("Value error, ") + ".") from e
        return decide(*self._answered, bounds)

    def candidate(self, choice: Choice) -> Candidate:
        """What this choice says to deploy: its members, how they are combined, its costs and accuracies."""
        return self.choices.candidate(choice.candidate)

    def copy_report(self, folder: str | os.PathLike[str]) -> Path:
        """Copy report.html and the tables and pictures beside it into a folder; the path of report.html."""
        return copy_report(self.run.store, self.run.study.name, self.run.plan.run, Path(folder))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json: all that the report shows."""
        return self.run.summary()

    @cached_property
    def _answered(self) -> tuple[Choices, Evidence]:
        return choices(self.run)
