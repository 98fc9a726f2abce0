"""What a search tells of its trials beside the events of their members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consort.events import Event
from consort.search.arms import Arm
from consort.search.records import TrialRecord
from consort.study.search import Search


@dataclass(frozen=True)
class SearchBegun(Event):
    """Trials are going to be tried. `arms` and `records` are the search's own, and fill up as it goes on."""

    arms: Sequence[Arm]
    search: Search
    records: Mapping[str, TrialRecord]
    """Trial -> its record, of those that an arm proposed."""
    second: bool = False
    """Whether candidates are trained a second time: the arms have all their trials, and sample none."""


@dataclass(frozen=True)
class SearchEnded(Event):
    """No more trials are tried."""


@dataclass(frozen=True)
class TrialRecorded(Event):
    """A trial has a record now."""

    trial: str
    arm: Arm | None = None
    """The arm that just proposed it; None means all that did."""
    ran_as: str = ""
    """The name that it was told to run under, where that is another: Katib has its own."""
