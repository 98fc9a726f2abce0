"""Where a run executes: on this machine (`consort.local`) or as jobs of a cluster (`consort.cluster`)."""

from collections.abc import Mapping
from typing import Protocol

from consort.events import Listener, Outcome
from consort.run.run import Run


class Target(Protocol):
    """What the stages of a run ask of the place where it executes."""

    @property
    def remote(self) -> bool:
        """Whether its jobs go on when this process leaves, and the report is somewhere else than the user."""

    @property
    def listen(self) -> Listener:
        """Is told what happens; a target prints nothing."""

    def train(self, run: Run) -> Outcome:
        """Import and train the members that are missing. Raises KeyboardInterrupt when it was asked to stop."""

    def answer(self, run: Run, failed: Mapping[str, str], only: str | None) -> dict:
        """Predict, evaluate and report, or only one of the last two; the summary.

        failed: why members that this process tried are not there. Raises IncompleteRun where no member is finished.
        """
