"""The trial step: train what a candidate lacks, one member after another, judge it, write its record last."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consort import members
from consort.errors import Busy, MemberFailed, Stopped, Terminated
from consort.members.spec import MemberSpec
from consort.run.run import Run
from consort.search import median_stopping, trials
from consort.search.latencies import measure_latencies
from consort.search.median_stopping import Median
from consort.search.records import TrialRecord
from consort.search.trials import Candidate
from consort.train.loop import Settings, train

PATIENCE_SECONDS = 86_400.0
"""To wait for another process that trains one of the members; one that died frees it at once."""


def run_trial(run: Run, tried: Candidate, settings: Settings, report: Callable[..., None]) -> TrialRecord:
    """Train and judge a candidate; its record, at once where it was tried before.

    A member that cannot be trained makes the trial a failed one, and one that falls behind the median a stopped one:
    both are records too. Raises Terminated when `settings.stop` asked for it, with the state saved.
    """
    store, plan = run.store, run.plan
    known = measure_latencies(run, tried.networks)
    found = trials.read(store, trials.trial_id(plan, tried.networks, known.hardware_id))
    if found is not None:
        return found
    wanted = trials.specs(plan, tried.networks)
    members.write_specs(store, wanted)
    present = frozenset(s.id for s in wanted if members.read_record(store, s.id) is not None)
    try:
        _train_all(run, [s for s in wanted if s.id not in present], settings, report)
        record = trials.judged(run, tried, known, present)
    except MemberFailed as e:
        record = trials.unsuccessful(plan, tried, known, trials.FAILED, str(e))
    except Stopped as e:
        record = trials.unsuccessful(plan, tried, known, trials.STOPPED, str(e))
    trials.write(store, record)
    return record


def _train_all(run: Run, wanted: list[MemberSpec], settings: Settings, report: Callable[..., None]) -> None:
    """Members that another process trains come last: by then they may be done."""
    busy = [spec for spec in wanted if not _train_one(run, spec, settings, report)]
    for spec in busy:
        _train_one(run, spec, replace(settings, patience_seconds=PATIENCE_SECONDS), report)


def _train_one(run: Run, spec: MemberSpec, settings: Settings, report: Callable[..., None]) -> bool:
    """Train a member; false where another process does, and the patience of the settings is none."""
    if settings.stop():
        raise Terminated("the trial was asked to stop between two members.")
    reason = members.read_failure(run.store, spec.id)
    if reason is not None:
        raise MemberFailed(reason)
    after_epoch = _after_epoch(run, spec)
    try:
        train(run.store, spec, run.plan.data, replace(settings, after_epoch=after_epoch), report)
    except Busy:
        if settings.patience_seconds:
            raise
        return False
    return True


def _after_epoch(run: Run, spec: MemberSpec) -> Callable[[int, float], Any] | None:
    search = trials.search_of(run.plan)
    if not search.median_stopping:
        return None
    median = Median(run.store, spec, search.space("single"))
    median.check(median_stopping.read_curve(run.store, spec.id))  # it may have been stopped before
    return median.after_epoch
