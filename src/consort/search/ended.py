"""A search read back from the store, wherever its trials ran: on which hardware they did, and what its arms tried.

Milliseconds are of the hardware that measured them. Trials in pods, or on another machine, know theirs; what reads
their records afterwards finds it in the arms' proposals. No torch here.
"""

from collections.abc import Sequence
from dataclasses import replace

from consort.errors import IncompleteRun
from consort.run.run import Run
from consort.search import trials
from consort.search.arms import Arm, open_arms, stored
from consort.search.records import TrialRecord
from consort.store import keys


def open_ended(run: Run, arms: Sequence[Arm], hardware_id: str | None = None) -> tuple[Run, list[Arm]]:
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


def on_hardware(run: Run, hardware_id: str) -> Run:
    """The same run, with latencies of this hardware instead of this machine's."""
    latency = run.study.latency.model_copy(update={"hardware": hardware_id})
    return replace(run, plan=replace(run.plan, study=run.study.model_copy(update={"latency": latency})))


def trial_record(run: Run, networks: Sequence[str], hardware_id: str | None) -> TrialRecord | None:
    """The record of a candidate on this hardware; where none is named, the newest of those on any that is known."""
    if hardware_id is not None:
        return trials.read(run.store, trials.trial_id(run.plan, networks, hardware_id))
    known = sorted({key.split("/")[1] for key in run.store.list(keys.LATENCIES)})
    found = [record for hardware in known
             if (record := trials.read(run.store, trials.trial_id(run.plan, networks, hardware))) is not None]
    return max(found, key=lambda record: record.finished_at, default=None)
