"""Trials of a search: what their members are, how they are judged, and their records. No torch here.

A trial is what it trains and what it is judged by, whoever proposed it: searches and their arms share trials, and
trials share members. The k-th copy of a network in a candidate is its member of seed k; in its second training, which
is a trial of its own, of seed SECOND_SEED + k.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from consort import hardware, members
from consort.data.prepared import Prepared
from consort.documents import canonical_json, from_json, sha256, to_json
from consort.ensembles.composition import combine
from consort.ensembles.metrics import accuracy
from consort.errors import InputError, MissingKey
from consort.members.logits import log_probabilities
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.plurals import counted
from consort.run.plan import Plan
from consort.run.run import Run
from consort.search.latencies import NetworkLatencies
from consort.search.records import TrialRecord
from consort.space.objective import ensemble_latency_ms, reward
from consort.store import Store, keys
from consort.study.search import Search

DONE, FAILED, STOPPED = "done", "failed", "stopped"
SECOND_SEED = 500
"""The first of a second training's members."""


@dataclass(frozen=True)
class Candidate:
    """What a trial trains."""

    kind: str
    networks: tuple[str, ...]
    """One per member."""
    second: bool = False
    """Whether it is trained a second time, with members of other seeds."""


def search_of(plan: Plan) -> Search:
    """The search of a planned study; InputError where it has none."""
    if plan.study.search is None:
        raise InputError(f"the study {plan.study.name} has no [search]: there is nothing to search for. `consort run` "
                         "trains and compares the architectures that it names.")
    return plan.study.search


def candidate(plan: Plan, kind: str, networks: Sequence[str]) -> Candidate:
    """A candidate of a kind, its networks in the space's order.

    Raises InputError where the number of members is another, or the space has not got one of the networks.
    """
    search = search_of(plan)
    if kind not in search.kinds:
        raise InputError(f"the search of {plan.study.name} has candidates of the kinds {', '.join(search.kinds)}, got "
                         f"{kind!r}.")
    if kind == "uniform" and len(set(networks)) != 1:
        raise InputError(f"a uniform candidate has copies of one network, got {', '.join(sorted(set(networks)))}.")
    if len(networks) not in (search.size(kind), 1 if kind == "uniform" else search.size(kind)):
        raise InputError(f"a {kind} candidate of {plan.study.name} has {counted(search.size(kind), 'member')}, got "
                         f"{len(networks)}.")
    of_space = networks if kind == "joint" else networks[:1]
    return Candidate(kind, search.networks_of(kind, search.space(kind).encode(of_space)))


def specs(plan: Plan, networks: Sequence[str], second: bool = False) -> list[MemberSpec]:
    """The members of a trial, in the order of its networks."""
    recipe = search_of(plan).trial_recipe(plan.study.recipe)
    seeds: defaultdict[str, count] = defaultdict(lambda: count(SECOND_SEED if second else 0))
    return [MemberSpec(name, plan.data.fingerprint, recipe, next(seeds[name])) for name in networks]


def trial_id(plan: Plan, networks: Sequence[str], hardware_id: str, second: bool = False) -> str:
    """`t-<10 hex digits>`: a hash over the members and over what judges them."""
    latency = plan.study.latency
    precision = search_of(plan).trial_recipe(plan.study.recipe).precision
    # What is as in the first version is left out, so that ids stay what they were.
    further = {name: value for name, value, before in (("runtime", latency.runtime or "torch", "torch"),
                                                       ("precision", precision, "auto")) if value != before}
    judged_by = {"combine": plan.study.evaluate.combine[0],
                 "objective": search_of(plan).objective.model_dump(mode="json"),
                 "latency": {"batch_size": latency.first_batch, "threads": latency.threads, **further},
                 "hardware": hardware_id}
    identity = [sorted(spec.id for spec in specs(plan, networks, second)), judged_by]
    return "t-" + sha256(canonical_json(identity).encode())[:10]


def read(store: Store, trial: str) -> TrialRecord | None:
    """The record of a trial that has ended, or None."""
    key = keys.trial(trial)
    try:
        return from_json(TrialRecord, store.read(key), key)
    except MissingKey:
        return None


def find(run: Run, networks: Sequence[str], hardware_id: str | None) -> TrialRecord | None:
    """The record of a candidate on this hardware; where none is named, the newest of those on any that is known."""
    if hardware_id is not None:
        return read(run.store, trial_id(run.plan, networks, hardware_id))
    known = sorted({key.split("/")[1] for key in run.store.list(keys.LATENCIES)})
    found = [record for hardware in known
             if (record := read(run.store, trial_id(run.plan, networks, hardware))) is not None]
    return max(found, key=lambda record: record.finished_at, default=None)


def write(store: Store, record: TrialRecord) -> None:
    """Write the record: from now on the trial has ended."""
    store.write(keys.trial(record.id), to_json(record))


def ensemble_accuracy(store: Store, records: Sequence[MemberRecord], data: Prepared, method: str) -> float:
    """Of the members together on the validation images, from their stored logits."""
    log_probs = log_probabilities(store, records, data, "val", None, data.cache)
    return accuracy(combine(log_probs, method), data.labels("val"))


def judged(run: Run, tried: Candidate, latencies: NetworkLatencies,
           reused: frozenset[str] = frozenset()) -> TrialRecord:
    """The record of a trial whose members are all trained; `reused` are those that were there already."""
    plan, objective = run.plan, search_of(run.plan).objective
    records = [_finished(run.store, spec.id) for spec in specs(plan, tried.networks, tried.second)]
    reached = ensemble_accuracy(run.store, records, plan.data, plan.study.evaluate.combine[0])
    parts = [latencies.ms[name] for name in tried.networks]
    parallel, serial = (ensemble_latency_ms(parts, how) for how in ("parallel", "serial"))
    seen = ensemble_latency_ms(parts, objective.latency)
    return dataclasses.replace(
        _record(plan, tried, latencies, DONE, None), accuracy=reached, reward=reward(reached, seen, objective),
        member_accuracies=tuple(record.val_accuracy or 0.0 for record in records), latency_ms=seen,
        parallel_latency_ms=parallel, serial_latency_ms=serial, macs=sum(record.macs for record in records),
        largest_macs=max(record.macs for record in records),
        member_macs=tuple(record.macs for record in records), params=sum(record.params for record in records),
        train_seconds=round(sum(r.train_seconds for r in records if r.id not in reused), 2), reused=len(reused))


def metrics(record: TrialRecord) -> dict[str, float]:
    """The numbers that a trial reports, by name; none where it is not done."""
    names = ("reward", "accuracy", "latency_ms", "parallel_latency_ms", "serial_latency_ms", "macs", "params")
    return {name: getattr(record, name) for name in names if getattr(record, name) is not None}


def katib_line(record: TrialRecord) -> str:
    """The metrics as Katib's File collector reads them in the format JSON: all values are strings."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return canonical_json({"timestamp": moment, **{name: repr(value) for name, value in metrics(record).items()}})


def unsuccessful(plan: Plan, tried: Candidate, latencies: NetworkLatencies, state: str, reason: str) -> TrialRecord:
    """The record of a trial that failed or was stopped."""
    return _record(plan, tried, latencies, state, reason)


def _record(plan: Plan, tried: Candidate, latencies: NetworkLatencies, state: str, reason: str | None) -> TrialRecord:
    return TrialRecord(
        id=trial_id(plan, tried.networks, latencies.hardware_id, tried.second), kind=tried.kind,
        networks=tried.networks, second=tried.second,
        members=tuple(spec.id for spec in specs(plan, tried.networks, tried.second)), state=state, reason=reason,
        accuracy=None, member_accuracies=(), reward=None, latency_ms=None, parallel_latency_ms=None,
        serial_latency_ms=None, network_latencies_ms=dict(latencies.ms), latency_spread_ms=latencies.spread,
        latency_source=latencies.source,
        hardware_id=latencies.hardware_id, macs=None, largest_macs=None, params=None, train_seconds=0.0, reused=0,
        versions=hardware.versions(), finished_at=datetime.now(UTC).isoformat(timespec="seconds"))


def _finished(store: Store, member_id: str) -> MemberRecord:
    record = members.read_record(store, member_id)
    if record is None:
        raise MissingKey(f"{keys.member_record(member_id)} is not in the store {store.uri}: the member is not trained.")
    return record
