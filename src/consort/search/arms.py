"""The arms of a search: what each has tried, and what it tries next. No torch here.

An arm is one kind of candidates under one sampler: the study's, or the random control. What it tries as its number-th
trial is written before the trial starts, and samplers replay the history whenever they are asked; so a search that was
lost in between goes on with the same trials.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from consort import samplers
from consort.documents import canonical_json
from consort.errors import IncompleteRun, InputError, IntegrityError
from consort.run.run import Run
from consort.samplers import FinishedTrial
from consort.search import trials
from consort.search.latencies import on_hardware
from consort.search.records import TrialRecord
from consort.space.choices import Encoding
from consort.store import Store, keys
from consort.study.search import Search


@dataclass(frozen=True)
class Proposal:
    """The number-th trial of an arm."""

    number: int
    encoding: Encoding
    networks: tuple[str, ...]
    """One per member."""
    trial: str
    second: bool = False
    """Whether it is a second training of what a trial of the arm has tried."""


@dataclass
class Arm:
    """One search of a study."""

    kind: str
    sampler: str
    control: bool
    proposals: list[Proposal] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.sampler}"

    def has(self, trial: str) -> bool:
        """Whether it proposed this trial."""
        return any(p.trial == trial for p in self.proposals)

    def finished(self, ended: Mapping[str, TrialRecord]) -> int:
        """How many of its trials have ended."""
        return sum(p.trial in ended for p in self.proposals)


def arms_of(search: Search, sampler: str | None = None) -> list[Arm]:
    """Every arm, without what it has tried. sampler: another than the study's."""
    return [Arm(kind, name, control) for kind, name, control in search.arms(sampler)]


def open_arms(run: Run, arms: Iterable[Arm], hardware_id: str) -> list[Arm]:
    """These arms of a search, with what they have tried so far.

    Raises InputError where they began on other hardware: rewards that saw its latencies do not compare with ours.
    """
    opened = list(arms)
    for arm in opened:
        for number, (proposal, began_on) in enumerate(stored(run, arm.name)):
            if proposal.number != number:
                raise IntegrityError(f"{_key(run, arm.name, proposal.number)} should be the {number}-th trial of "
                                     f"{arm.name}: one before it is missing. Remove studies/{run.ref}/arms and search "
                                     "again; what was trained stays.")
            if began_on != hardware_id:
                raise InputError(f"the search {run.ref} began on hardware {began_on} and would go on with latencies "
                                 f"of {hardware_id}: its rewards would not compare. Go on where it began, or give "
                                 "the study another name; what was trained is taken over.")
            arm.proposals.append(proposal)
    return opened


def open_tried(run: Run, arms: Sequence[Arm], hardware_id: str | None = None) -> tuple[Run, list[Arm]]:
    """The run with latencies of the hardware that its trials ran on, and these arms with what they tried.

    hardware_id: the only hardware that is meant; by default the one that the study or the first trial names. Raises
    IncompleteRun where they tried nothing yet, and InputError where they began on other hardware.
    """
    hardware = hardware_id or run.study.latency.hardware or next(
        (began_on for arm in arms for _, began_on in stored(run, arm.name)), None)
    opened = open_arms(run, arms, hardware) if hardware else []
    if hardware is None or not any(arm.proposals for arm in opened):
        raise IncompleteRun(f"the search {run.ref} has no trials yet, so it has no winners: `consort search "
                            f"{run.ref} --only search` comes first.")
    return on_hardware(run, hardware), opened


def propose_next(run: Run, arm: Arm, ended: Mapping[str, TrialRecord], hardware_id: str) -> Proposal | None:
    """Write down what an arm tries next; None where it has all its trials."""
    search = trials.search_of(run.plan)
    number = len(arm.proposals)
    if number >= search.trials:
        return None
    finished = [_finished(p, ended[p.trial]) for p in arm.proposals if p.trial in ended]
    pending = [p.encoding for p in arm.proposals if p.trial not in ended]
    encoding, = samplers.suggest(arm.sampler, search.space(arm.kind), finished, 1, pending=pending, seed=search.seed,
                                 settings={} if arm.control else search.settings,
                                 objective=search.objective)
    networks = search.networks_of(arm.kind, encoding)
    proposal = Proposal(number, tuple(encoding), networks, trials.trial_id(run.plan, networks, hardware_id))
    add_proposal(run, arm, proposal, hardware_id)
    return proposal


def add_proposal(run: Run, arm: Arm, proposal: Proposal, hardware_id: str, **more: str) -> None:
    """Write down that an arm tries this next. hardware_id: what its reward sees; more: what else is to be kept."""
    values = {"number": proposal.number, "encoding": proposal.encoding, "networks": proposal.networks,
              "trial": proposal.trial, "hardware": hardware_id, **more}
    run.store.write(_key(run, arm.name, proposal.number), canonical_json(values).encode())
    arm.proposals.append(proposal)


def stored(run: Run, arm: str) -> list[tuple[Proposal, str]]:
    """The trials that an arm has tried, in their order, each with the hardware that its reward sees."""
    folder = keys.proposals(run.study.name, run.plan.run, arm)
    return [_read(run.store, key) for key in run.store.list(folder)]


def records_of(store: Store, arms: Sequence[Arm]) -> list[tuple[Arm, int, TrialRecord]]:
    """(arm, number, record) of every trial that has ended; of the kind that the arm was looking for."""
    return [(arm, p.number, dataclasses.replace(record, kind=arm.kind)) for arm in arms for p in arm.proposals
            if (record := trials.read(store, p.trial)) is not None]


def _key(run: Run, arm: str, number: int) -> str:
    return keys.proposal(run.study.name, run.plan.run, arm, number)


def _finished(proposal: Proposal, record: TrialRecord) -> FinishedTrial:
    done = record.state == trials.DONE
    return FinishedTrial(proposal.encoding, record.reward if done else None, record.accuracy if done else None,
                         record.latency_ms if done else None)


def _read(store: Store, key: str) -> tuple[Proposal, str]:
    """A proposal, and the hardware that its reward sees."""
    try:
        values = json.loads(store.read(key))
        return Proposal(int(values["number"]), tuple(values["encoding"]), tuple(values["networks"]),
                        str(values["trial"])), str(values["hardware"])
    except (ValueError, KeyError, TypeError) as e:
        raise IntegrityError(f"{key} is not a proposal that this version of Consort reads: {e}. Remove it and those "
                             "after it, and search again; what was trained stays.") from e
