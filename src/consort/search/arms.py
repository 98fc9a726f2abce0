"""The arms of a search: what each has tried, and what it tries next. No torch here.

An arm is one kind of candidates under one sampler: the study's, or the random control. What it tries as its number-th
trial is written before the trial starts, and samplers replay the history whenever they are asked; so a search that was
lost in between goes on with the same trials.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consort import samplers
from consort.documents import canonical_json
from consort.errors import InputError, IntegrityError
from consort.run.plan import Plan
from consort.samplers import FinishedTrial
from consort.search import trials
from consort.search.records import TrialRecord
from consort.space.choices import Encoding
from consort.store import Store, keys
from consort.study.search import CONTROL, Search


@dataclass(frozen=True)
class Proposal:
    """The number-th trial of an arm."""

    number: int
    encoding: Encoding
    networks: tuple[str, ...]
    """One per member."""
    trial: str


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


def arms(search: Search) -> list[Arm]:
    """Of every kind the study's sampler, and the random control where that is another one."""
    found = []
    for kind in search.kinds:
        found.append(Arm(kind, search.sampler, False))
        if search.control and search.sampler != CONTROL:
            found.append(Arm(kind, CONTROL, True))
    return found


def opened(store: Store, plan: Plan, hardware_id: str, wanted: Sequence[Arm] | None = None) -> list[Arm]:
    """The arms of a search with what they have tried so far; by default those that its study names.

    Raises InputError where they began on other hardware: rewards that saw its latencies do not compare with ours.
    """
    found = arms(trials.search_of(plan)) if wanted is None else list(wanted)
    for arm in found:
        for number, key in enumerate(store.list(keys.proposals(plan.study.name, plan.run, arm.name))):
            proposal, began_on = _read(store, key)
            if proposal.number != number:
                raise IntegrityError(f"{key} should be the {number}-th trial of {arm.name}: one before it is missing. "
                                     f"Remove studies/{plan.ref}/arms and search again; what was trained stays.")
            if began_on != hardware_id:
                raise InputError(f"the search {plan.ref} began on hardware {began_on} and would go on with latencies "
                                 f"of {hardware_id}: its rewards would not compare. Go on where it began, or give "
                                 "the study another name; what was trained is taken over.")
            arm.proposals.append(proposal)
    return found


def next_proposal(store: Store, plan: Plan, arm: Arm, ended: Mapping[str, TrialRecord],
                  hardware_id: str) -> Proposal | None:
    """What an arm tries next, written to the store; None where it has all its trials."""
    search = trials.search_of(plan)
    number = len(arm.proposals)
    if number >= search.trials:
        return None
    finished = [_finished(p, ended[p.trial]) for p in arm.proposals if p.trial in ended]
    pending = [p.encoding for p in arm.proposals if p.trial not in ended]
    encoding, = samplers.suggest(arm.sampler, search.space(arm.kind), finished, 1, pending=pending, seed=search.seed,
                                 settings={} if arm.control else search.settings,
                                 objective=search.objective)
    networks = search.networks_of(arm.kind, encoding)
    proposal = Proposal(number, tuple(encoding), networks, trials.trial_id(plan, networks, hardware_id))
    store.write(keys.proposal(plan.study.name, plan.run, arm.name, number), canonical_json(
        {"number": number, "encoding": encoding, "networks": networks, "trial": proposal.trial,
         "hardware": hardware_id}).encode())
    arm.proposals.append(proposal)
    return proposal


def stored(store: Store, plan: Plan, arm: str) -> list[tuple[Proposal, str]]:
    """The trials that an arm has tried, in their order, each with the hardware that its reward sees."""
    return [_read(store, key) for key in store.list(keys.proposals(plan.study.name, plan.run, arm))]


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
