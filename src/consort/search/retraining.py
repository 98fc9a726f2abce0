"""Second trainings: the best candidates of every kind are trained once more before its winner is named. No torch here.

The highest of many noisy rewards is partly the luckiest. So the few best of a kind are trained again by the trials'
recipe, with other seeds, and its winner is the one of the best mean of both rewards. The second reward alone knows
nothing of the luck that the first was chosen for, but it is one noisy reading; how the mean orders a few candidates
uses both, and the selection has put all of them in front alike. On the table of real trainings it finds the better
network (docs/results/benchmarks.md). As a level the mean still flatters: that is for the winners' own study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consort.run.run import Run
from consort.search import trials
from consort.search.arms import Arm, Proposal, records_of
from consort.search.records import TrialRecord
from consort.search.trials import DONE, search_of

SECOND = "second"
"""Stands for the sampler in the name of an arm of second trainings, which nothing samples."""


@dataclass(frozen=True)
class Finalist:
    """A candidate that is trained a second time."""

    first: TrialRecord
    proposal: Proposal
    """Of its second training."""
    second: TrialRecord | None
    """None before it has ended."""

    @property
    def mean_reward(self) -> float | None:
        """Of both trainings; None where the second has not ended well."""
        if self.second is None or self.second.reward is None or self.first.reward is None:
            return None
        return (self.first.reward + self.second.reward) / 2


def ranked(run: Run, arms: Sequence[Arm]) -> dict[str, list[TrialRecord]]:
    """Kind -> its trials that keep the target latency, of all arms and each once, the highest reward first."""
    target = search_of(run.plan).objective.target_latency_ms
    found: dict[str, dict[str, TrialRecord]] = {}
    for arm, _, record in records_of(run.store, arms):
        if record.state == DONE and (record.latency_ms or 0.0) <= target:
            found.setdefault(arm.kind, {}).setdefault(record.id, record)
    return {kind: sorted(of_kind.values(), key=lambda record: -(record.reward or 0.0))
            for kind, of_kind in found.items()}


def finalists(run: Run, arms: Sequence[Arm]) -> dict[str, list[Finalist]]:
    """Kind -> its candidates that are to be trained a second time, or were, the highest first reward first."""
    number = search_of(run.plan).retrained
    return {kind: [_finalist(run, arms, place, record) for place, record in enumerate(of_kind[:number])]
            for kind, of_kind in ranked(run, arms).items() if number}


def _finalist(run: Run, arms: Sequence[Arm], place: int, first: TrialRecord) -> Finalist:
    tried = next(p for arm in arms if arm.kind == first.kind for p in arm.proposals if p.trial == first.id)
    trial = trials.trial_id(run.plan, first.networks, first.hardware_id, second=True)
    second = trials.read(run.store, trial)
    return Finalist(first, replace(tried, number=place, trial=trial, second=True),
                    second and replace(second, kind=first.kind))


def second_arms(of_kinds: Mapping[str, Sequence[Finalist]]) -> list[Arm]:
    """The second trainings of each kind as an arm, which has tried just these."""
    return [Arm(kind, SECOND, False, [finalist.proposal for finalist in of_kind]) for kind, of_kind in of_kinds.items()]


def best(of_kind: Sequence[Finalist]) -> Finalist | None:
    """The one of the best mean reward, the first of equals; None before all second trainings have ended, and where none
    has ended well."""
    if any(finalist.second is None for finalist in of_kind):
        return None
    twice = [finalist for finalist in of_kind if finalist.mean_reward is not None]
    return max(twice, key=lambda finalist: finalist.mean_reward or 0.0, default=None)
