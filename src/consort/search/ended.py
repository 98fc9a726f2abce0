"""A search read back from the store, wherever its trials ran: on which hardware they did, and what its arms tried.

Milliseconds are of the hardware that measured them. Trials in pods, or on another machine, know theirs; what reads
their records afterwards finds it in the arms' proposals. No torch here.
"""

from collections.abc import Sequence
from dataclasses import replace

from consort.errors import IncompleteRun
from consort.run.plan import Plan
from consort.search import trials
from consort.search.arms import Arm, opened, stored
from consort.search.records import TrialRecord
from consort.store import Store, keys


def ended_search(store: Store, plan: Plan, arms: Sequence[Arm]) -> tuple[Plan, list[Arm]]:
    """The plan with latencies of the hardware that its trials ran on, and these arms with what they tried.

    Raises IncompleteRun where they tried nothing yet.
    """
    hardware = plan.study.latency.hardware or next(
        (found for arm in arms for _, found in stored(store, plan, arm.name)), None)
    if hardware is None:
        raise IncompleteRun(f"the search {plan.ref} has no trials yet, so it has no winners: `consort search "
                            f"{plan.ref} --only search` comes first.")
    there = on_hardware(plan, hardware)
    return there, opened(store, there, hardware, arms)


def on_hardware(plan: Plan, hardware_id: str) -> Plan:
    """The same run, with latencies of this hardware instead of this machine's."""
    latency = plan.study.latency.model_copy(update={"hardware": hardware_id})
    return replace(plan, study=plan.study.model_copy(update={"latency": latency}))


def trial_record(store: Store, plan: Plan, networks: Sequence[str], hardware_id: str | None) -> TrialRecord | None:
    """The record of a candidate on this hardware; where none is named, the newest of those on any that is known."""
    if hardware_id is not None:
        return trials.read(store, trials.trial_id(plan, networks, hardware_id))
    known = sorted({key.split("/")[1] for key in store.list(keys.LATENCIES)})
    found = [record for hardware in known
             if (record := trials.read(store, trials.trial_id(plan, networks, hardware))) is not None]
    return max(found, key=lambda record: record.finished_at, default=None)
