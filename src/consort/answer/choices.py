"""choices.json: the candidates of a run and what is chosen among them within each budget, as records.

The terminal, the report, the table, a bundle and the programs that read JSON all take the answer from here, so that
they say the same. Accuracies are 0..1; a cost that is not known is None.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from consort.ensembles.intervals import Seeds
from consort.errors import IntegrityError

FORMAT = 1

Budget = dict[str, float]
"""Cost (a field of Costs) -> its upper bound; without any, everything fits."""


@dataclass(frozen=True)
class Costs:
    """What one image costs; a cascade's `macs` and `serial_ms` are means over the validation images."""

    macs: float
    macs_worst: float
    """When every member is asked."""
    serial_ms: float | None
    serial_p99_ms: float | None
    """99 of 100 images take no longer."""
    serial_worst_ms: float | None
    parallel_ms: float | None
    """Every member on a device of its own; a cascade still asks one after the other."""
    params: int
    bytes: int | None
    """Of the weights as the store has them."""
    train_macs: int | None
    batch_ms: dict[str, float] | None = None
    """Batch size -> milliseconds for an image in such a batch, a mean as `serial_ms` is; None where no batch was
    measured."""
    batch_worst_ms: dict[str, float] | None = None
    """The same when every member is asked about every image."""
    concurrent_ms: float | None = None
    """All members at the same time on one GPU, where that was measured."""


@dataclass(frozen=True)
class OnValidation:
    accuracy: float
    nll: float
    value: float


@dataclass(frozen=True)
class OnTest:
    accuracy: float
    low: float
    high: float
    """Interval of the accuracy over images like the test images."""
    nll: float
    ece: float
    value: float
    value_low: float
    value_high: float
    """Interval of the value; where the metric is accuracy the same as above."""


@dataclass(frozen=True)
class Promise:
    """What a cascade loses at most against asking all of its members, and with what confidence."""

    loss: float
    confidence: float
    text: str


@dataclass(frozen=True)
class Candidate:
    """Named members and a way to answer with them: what can be deployed."""

    id: str
    label: str
    """Such as "2 x wrn-16-1", or "cascade of ..."; several candidates may share it."""
    kind: str
    """single, uniform, mixed or cascade."""
    members: tuple[str, ...]
    """Ids of the members; of a cascade in the order in which they are asked."""
    architectures: tuple[str, ...]
    """Of the members, in the same order."""
    combine: str
    """geometric or arithmetic."""
    temperatures: tuple[float, ...]
    """Log-probabilities are divided by it before the answer: one, or of a cascade one a stage."""
    confidence: str | None
    """Of a cascade: probability, margin, entropy or agreement."""
    thresholds: tuple[float | None, ...]
    """Of a cascade, one per stage but the last: it stops at this confidence; None: never."""
    promise: Promise | None
    costs: Costs
    val: OnValidation
    test: OnTest


@dataclass(frozen=True)
class Anew:
    """The interval of a gain if the same recipes were trained again, on average over seeds."""

    low: float
    high: float
    resolved: bool


@dataclass(frozen=True)
class Gain:
    """By how much one candidate is better than another on the test images, in the metric's unit: a difference of
    accuracies, or the NLL of the other minus that of the one. The interval is of these very networks on other images
    like them. Resolved: it leaves out 0."""

    value: float
    low: float
    high: float
    resolved: bool
    anew: Anew | None = None
    anew_unknown: str | None = None
    """Why there is no such interval."""
    as_good: bool | None = None
    """Whether the two are as good within the margin: the 90 % interval lies inside it. None without a margin."""
    not_worse: bool | None = None
    """Whether the candidate is not worse by more than the margin: the 90 % interval lies above minus it."""


@dataclass(frozen=True)
class Choice:
    """What to deploy within a budget. Candidates are named by their ids."""

    budget: Budget
    candidate: str
    """The simplest that validation does not tell from the best, and that is not below the best single there."""
    best: str
    """The best on validation within the budget."""
    partner: str | None
    """The best single within the budget; it may be the candidate itself."""
    alternative: str | None
    """What the candidate is held against: the partner, or for a single the best that is no single."""
    gain: Gain | None
    """Candidate minus alternative."""
    versus_majority: Gain
    """Candidate minus always answering the most frequent class; for nll, minus always answering the classes' shares of
    the validation images."""
    why: str
    text: str


@dataclass(frozen=True)
class Majority:
    label: str
    test_accuracy: float
    test_value: float
    """Of always answering it; for nll, of always answering the classes' shares of the validation images."""


@dataclass(frozen=True)
class Confidence:
    """A way to be sure, and what the cascades of one ensemble reach that decide by it."""

    name: str
    """probability, margin, entropy or agreement."""
    val_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class Confidences:
    """The ways to be sure on one ensemble, at equal mean MACs; the best on validation first."""

    ensemble: str
    """Its label."""
    bounds: int
    """Accuracies are means over so many bounds on the mean MACs, in even steps between the cheapest member alone and
    every member; within each the best cascade on validation."""
    each: tuple[Confidence, ...]


@dataclass(frozen=True)
class Choices:
    """All of choices.json."""

    study: str
    run: str
    question: str
    metric: str
    """By which the choices are made: accuracy, balanced_accuracy or nll."""
    interval: float
    """Confidence of the intervals, such as 0.95."""
    val_images: int
    test_images: int
    classes: tuple[str, ...]
    majority: Majority
    seeds: Seeds | None
    """Variances of values over seeds; None where every architecture has one."""
    improving: tuple[str, ...]
    """Architectures whose training ended while they still improved."""
    margin: float | None
    """Of the value: what counts as as good, where the study says so."""
    cascade_loss: float
    """Of accuracy: what cascades with a promise lose at most."""
    notes: tuple[str, ...]
    """What a reader has to know before believing the headline."""
    candidates: tuple[Candidate, ...]
    choices: tuple[Choice, ...]
    """The first is the headline."""
    promises_share: int = 1
    """So many ensembles share the error that a promise is allowed."""
    confidences: Confidences | None = None
    """None where there are no cascades."""
    format: int = FORMAT

    def candidate(self, id: str) -> Candidate:
        return next(one for one in self.candidates if one.id == id)

    @property
    def headline(self) -> Choice:
        return self.choices[0]

    def to_json(self) -> bytes:
        return (json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False) + "\n").encode()


def from_json(data: bytes, where: str) -> Choices:
    """Read choices.json back; fields that this version does not know are ignored, and values are accuracies where it is
    from before there were several metrics. IntegrityError where it is none."""
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']}, this version reads {FORMAT}")
        return _record(Choices, values, {
            "majority": _record(Majority, {"test_value": values["majority"]["test_accuracy"], **values["majority"]}),
            "seeds": values["seeds"] and Seeds(**values["seeds"]),
            "confidences": (given := values.get("confidences")) and _confidences(given),
            "candidates": tuple(map(_candidate, values["candidates"])),
            "choices": tuple(map(_choice, values["choices"]))})
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise IntegrityError(f"{where} is not a readable list of choices: {e}. `consort evaluate` writes it anew."
                             ) from e


def _confidences(values: dict) -> Confidences:
    return _record(Confidences, values, {"each": tuple(_record(Confidence, one) for one in values["each"])})


def _candidate(values: dict) -> Candidate:
    val, test = values["val"], values["test"]
    before = {"value": test["accuracy"], "value_low": test["low"], "value_high": test["high"]}
    return _record(Candidate, values, {
        "promise": values["promise"] and _record(Promise, values["promise"]), "costs": _record(Costs, values["costs"]),
        "val": _record(OnValidation, {"value": val["accuracy"], **val}), "test": _record(OnTest, {**before, **test})})


def _choice(values: dict) -> Choice:
    return _record(Choice, values, {"gain": values["gain"] and _gain(values["gain"]),
                                    "versus_majority": _gain(values["versus_majority"])})


def _gain(values: dict) -> Gain:
    return _record(Gain, values, {"anew": values.get("anew") and _record(Anew, values["anew"])})


def _record(cls: type, values: dict, inner: dict[str, Any] | None = None) -> Any:
    """A record from JSON: lists become tuples, `inner` are fields that are records themselves."""
    names = {f.name for f in dataclasses.fields(cls)}
    plain = {name: tuple(value) if isinstance(value, list) else value
             for name, value in values.items() if name in names}
    return cls(**{**plain, **(inner or {})})
