"""What steps and targets tell while they work: an event each, to whoever listens, or as a line another process reads.

A step's process prints its events as JSON lines (`line`); who started it reads them (`read_line`). A target tells the
events of its members and its own; only `consort.screen` turns them into what a person sees.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar

from consort.documents import canonical_json


@dataclass(frozen=True)
class Event:
    """Anything that is told."""

    name: ClassVar[str] = ""
    """In the JSON line; empty for what is told within a process only."""


Listener = Callable[[Event], None]


def unheard(event: Event) -> None:
    """The listener where nobody listens."""


@dataclass(frozen=True)
class MemberEvent(Event):
    """Something about one member."""

    member: str
    """Its id; the trial's, where all of a trial is meant."""
    trial: str = field(default="", kw_only=True)
    """The trial that it trains in, where it is one's."""

    @property
    def subject(self) -> str:
        """What a listener knows it by: the trial, else the member."""
        return self.trial or self.member


def without_name(member: str, text: str) -> str:
    """What is said of a member, for a line that begins with its name: `member wrn-16-1-s1-...: no` is `no`."""
    rest = text.removeprefix(f"member {member}")
    return rest.removeprefix(":").lstrip() if rest[:1] in (":", " ") else text


# What a step's process tells.

@dataclass(frozen=True)
class Warned(MemberEvent):
    """Something is not as it should be, and the work goes on."""

    name = "warning"
    text: str


@dataclass(frozen=True)
class WaitsForLock(MemberEvent):
    """Another process trains the member; `text` says which."""

    name = "waiting"
    text: str


@dataclass(frozen=True)
class Resumed(MemberEvent):
    """Training goes on from a checkpoint."""

    name = "resumed"
    step: int
    steps: int


@dataclass(frozen=True)
class Progressed(MemberEvent):
    """How far a training is."""

    name = "progress"
    epoch: float
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    seconds_left: float
    number: int = 1
    """The member is the number-th of `members` in its trial."""
    members: int = 1
    side_by_side: int = 1
    """Members that train at this speed in the same process."""


@dataclass(frozen=True)
class Saved(MemberEvent):
    """A checkpoint was written."""

    name = "checkpoint"
    step: int


@dataclass(frozen=True)
class Trained(MemberEvent):
    """The member is done, as its own process tells."""

    name = "finished"
    val_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class Predicted(MemberEvent):
    """Logits were made from a member's weights."""

    name = "predicted"
    test_set: str
    accuracy: float


@dataclass(frozen=True)
class Measured(Event):
    """A network's latency was measured."""

    name = "measured"
    architecture: str
    median_ms: float
    batch_size: int = 1


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial has its record; the numbers are those it is judged by."""

    name = "trial"
    trial: str
    state: str
    reward: float | None = None
    accuracy: float | None = None
    latency_ms: float | None = None
    parallel_latency_ms: float | None = None
    serial_latency_ms: float | None = None
    macs: float | None = None
    params: float | None = None


@dataclass(frozen=True)
class StepEnded(Event):
    """A step ends with an error; `kind` is the name of its class."""

    name = "error"
    kind: str
    text: str
    exit_code: int
    member: str = ""
    """The member it is about, where the step has several."""

    def is_a(self, error: type[Exception]) -> bool:
        """Whether the step ended with an error of just this class."""
        return self.kind == error.__name__


# What a target tells.

@dataclass(frozen=True)
class Said(Event):
    """A sentence for the user; `warns` where it is about something that holds the work up."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Quiet(Event):
    """Nothing has happened for a while: what is waited for."""

    what: str
    seconds: float


@dataclass(frozen=True)
class MembersBegun(Event):
    """These members are going to be trained; `done` of the run are there already."""

    members: tuple[str, ...]
    done: int
    work: Mapping[str, float] = field(default_factory=dict)
    """What training each of them takes, in a unit of their own; empty where that is not known."""
    shares: tuple[tuple[str, ...], ...] = ()
    """Which of them each place trains, where places are there from the beginning."""
    packs: tuple[tuple[str, ...], ...] = ()
    """Which of them a job trains, where jobs begin as a cluster lets them."""


@dataclass(frozen=True)
class MembersEnded(Event):
    """All of them have ended, in one way or another."""


@dataclass(frozen=True)
class Started(MemberEvent):
    """Its process or its job was started, or adopted."""

    name = "started"
    job: str = ""


@dataclass(frozen=True)
class PodSeen(MemberEvent):
    """Where its pod is, and in which phase."""

    pod: str
    node: str
    phase: str
    restarts: int


@dataclass(frozen=True)
class Elsewhere(MemberEvent):
    """Another run trains it; it is asked for again."""


@dataclass(frozen=True)
class Retried(MemberEvent):
    """It ended in a way that a retry can help; `text` is how."""

    text: str


@dataclass(frozen=True)
class Done(MemberEvent):
    """The store has it."""


@dataclass(frozen=True)
class Failed(MemberEvent):
    """It ended without being done; `text` is why."""

    text: str


@dataclass
class Outcome:
    """How the members of a run ended."""

    trained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Member id -> reason."""


_BY_NAME: dict[str, type[Event]] = {kind.name: kind for kind in (
    Warned, WaitsForLock, Resumed, Progressed, Saved, Trained, Predicted, Measured, TrialEnded, StepEnded, Started)}


def contents(event: Event) -> dict[str, object]:
    """The event's fields, without those that say nothing beyond their default."""
    told = {f.name: getattr(event, f.name) for f in fields(event)}
    return {f.name: told[f.name] for f in fields(event) if f.default is MISSING or told[f.name] != f.default}


def line(event: Event) -> str:
    """The event as one line of a step's machine-readable output."""
    return canonical_json({"event": event.name, **contents(event)})


def read_line(text: str) -> Event | None:
    """The event on this line, or None where it is ordinary text or an event that this version does not know.

    Keys that this version does not know are left out: the step may be of a later one.
    """
    if not text.startswith("{"):
        return None
    try:
        told = json.loads(text)
        kind = _BY_NAME[told["event"]]
        return kind(**{f.name: told[f.name] for f in fields(kind) if f.name in told})
    except (ValueError, KeyError, TypeError):
        return None
