"""The trial step: train what a candidate lacks, one member after another, judge it, write its record last."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from consort import members
from consort.errors import Busy, MemberFailed, Stopped, Terminated
from consort.events import Event, Listener, MemberEvent, Progressed
from consort.members.spec import MemberSpec
from consort.run.run import Run
from consort.search import median_stopping, trials
from consort.search.latencies import measure_latencies
from consort.search.median_stopping import Median
from consort.search.records import TrialRecord
from consort.search.trials import Candidate
from consort.train.settings import Settings
from consort.train.step import train

PATIENCE_SECONDS = 86_400.0
"""To wait for another process that trains one of the members; one that died frees it at once."""


def run_trial(run: Run, tried: Candidate, settings: Settings, listen: Listener) -> TrialRecord:
    """Train and judge a candidate; its record, at once where it was tried before.

    A member that cannot be trained makes the trial a failed one, and one that falls behind the median a stopped one:
    both are records too. Raises Terminated when `settings.stop` asked for it, with the state saved.
    """
    store, plan = run.store, run.plan
    known = measure_latencies(run, tried.networks)
    trial = trials.trial_id(plan, tried.networks, known.hardware_id, tried.second)
    wanted = trials.specs(plan, tried.networks, tried.second)
    found = trials.read(store, trial)
    if found is not None:
        return found
    members.write_specs(store, wanted)
    present = frozenset(s.id for s in wanted if members.read_record(store, s.id) is not None)
    try:
        _train_all(run, [s for s in wanted if s.id not in present], settings, _in_trial(listen, trial, wanted))
        record = trials.judged(run, tried, known, present)
    except MemberFailed as e:
        record = trials.unsuccessful(plan, tried, known, trials.FAILED, str(e))
    except Stopped as e:
        record = trials.unsuccessful(plan, tried, known, trials.STOPPED, str(e))
    trials.write(store, record)
    return record


def _in_trial(listen: Listener, trial: str, wanted: Sequence[MemberSpec]) -> Listener:
    """Tells what it hears of the trial's members as the trial's, and which of its members a progress is."""
    numbers = {spec.id: number for number, spec in enumerate(wanted, 1)}

    def tell(event: Event) -> None:
        if isinstance(event, Progressed):
            event = replace(event, number=numbers[event.member], members=len(numbers))
        listen(replace(event, trial=trial) if isinstance(event, MemberEvent) else event)

    return tell


def _train_all(run: Run, wanted: list[MemberSpec], settings: Settings, listen: Listener) -> None:
    """Members that another process trains come last: by then they may be done."""
    busy = [spec for spec in wanted if not _train_one(run, spec, settings, listen)]
    for spec in busy:
        _train_one(run, spec, replace(settings, patience_seconds=PATIENCE_SECONDS), listen)


def _train_one(run: Run, spec: MemberSpec, settings: Settings, listen: Listener) -> bool:
    """Train a member; false where another process does, and the patience of the settings is none."""
    if settings.stop():
        raise Terminated("the trial was asked to stop between two members.")
    reason = members.read_failure(run.store, spec.id)
    if reason is not None:
        raise MemberFailed(reason)
    after_epoch = _after_epoch(run, spec)
    try:
        train(run.store, spec, run.plan.data, replace(settings, after_epoch=after_epoch), listen)
    except Busy:
        if settings.patience_seconds:
            raise
        return False
    return True


def _after_epoch(run: Run, spec: MemberSpec) -> Callable[[int, float], Any] | None:
    search = trials.search_of(run.plan)
    if not search.median_stopping or spec.seed >= trials.SECOND_SEED:  # second trainings are compared at their ends
        return None
    median = Median(run.store, spec, search.space("single"))
    median.check(median_stopping.read_curve(run.store, spec.id))  # it may have been stopped before
    return median.after_epoch
