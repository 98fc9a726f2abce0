"""What is exported: a candidate of a run's choices, or members that were named."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consort import members
from consort.answer.choices import Candidate, Choices
from consort.data.prepared import Prepared
from consort.ensembles.composition import combine as combine_log_probs
from consort.ensembles.metrics import fit_temperature
from consort.errors import InputError, unknown_name
from consort.export.combination import Combination
from consort.members.logits import log_probabilities
from consort.members.records import MemberRecord
from consort.store import Store

WEIGHTS = "weights.safetensors"
OF_MEMBERS = "members"
"""In place of a candidate's id, where members were named."""


@dataclass(frozen=True)
class Chosen:
    """Named members and how they become one answer."""

    id: str
    label: str
    kind: str
    members: tuple[str, ...]
    """Ids; of a cascade in the order in which they are asked."""
    combination: Combination
    predicted: dict[str, Any] | None = None
    """serial_ms, the mean over validation images that the members' own latencies add up to, and the runtime that they
    were measured in; None where nothing is known."""
    promise: dict[str, Any] | None = None
    """What the threshold promises: loss, confidence, text."""


def candidate_of(found: Choices, wanted: str | None = None) -> Candidate:
    """A candidate of a run by its id; without one, that of the run's headline."""
    known = {candidate.id: candidate for candidate in found.candidates}
    wanted = wanted or found.headline.candidate
    if wanted not in known:
        raise unknown_name("candidate", wanted, known, "table.md of the report lists those that a budget "
                           "chooses, choices.json all.")
    return known[wanted]


def chosen_of(candidate: Candidate, runtime: str = "torch") -> Chosen:
    """What a candidate's bundle is made of. runtime: what its latencies were measured in."""
    count, cascade = len(candidate.members), candidate.kind == "cascade"
    thresholds = tuple(math.inf if t is None else t for t in candidate.thresholds)
    combination = Combination((1,) * count if cascade else (count,), candidate.combine, candidate.temperatures,
                              candidate.confidence, thresholds)
    predicted = None if candidate.costs.serial_ms is None else {
        "serial_ms": round(candidate.costs.serial_ms, 4), "runtime": runtime}
    return Chosen(candidate.id, candidate.label, candidate.kind, candidate.members, combination, predicted,
                  None if candidate.promise is None else dataclasses.asdict(candidate.promise))


def of_members(store: Store, data: Prepared, names: Sequence[str], combine: str, cache: Path,
               of_run: Sequence[str] = ()) -> Chosen:
    """An ensemble of any members, named by their ids or how those begin, the run's own first; its temperature is fitted
    on validation."""
    records = exportable(store, [members.find(store, name.strip(), of_run) for name in names], data)
    log_probs = log_probabilities(store, records, data, "val", None, cache)
    temperature = fit_temperature(combine_log_probs(log_probs, combine), data.labels("val"))
    label = " + ".join(record.architecture for record in records)
    return Chosen(OF_MEMBERS, label, "single" if len(records) == 1 else "ensemble", tuple(r.id for r in records),
                  Combination((len(records),), combine, (temperature,)))


def exportable(store: Store, ids: Sequence[str], data: Prepared) -> list[MemberRecord]:
    """The records of members, all of which have weights for this data; InputError naming those that have none."""
    present = members.files(store, ids)
    records, lacking = [], []
    for member_id in ids:
        record = members.read_record(store, member_id)
        if record is None:
            lacking.append(f"{member_id} is not finished")
        elif record.data != data.fingerprint:
            lacking.append(f"{member_id} was trained on other data ({record.data})")
        elif WEIGHTS not in record.files:
            lacking.append(f"{member_id} is predictions alone: it has no weights that could run")
        elif WEIGHTS not in present[member_id]:
            lacking.append(f"{member_id} has lost its weights: {WEIGHTS} is gone from the store")
        else:
            records.append(record)
    if lacking:
        raise InputError("these members cannot be exported:\n  " + "\n  ".join(lacking) + "\nName others with "
                         "--members, or another candidate.")
    return records
