"""What is exported: a candidate of a run's choices.json, or members that were named."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consort import members
from consort.data.prepared import Prepared
from consort.ensembles.composition import combine as combine_log_probs
from consort.ensembles.metrics import fit_temperature
from consort.errors import InputError, IntegrityError, MissingKey, unknown_name
from consort.export.combination import Combination
from consort.export.networks import exportable
from consort.members.logits import log_probabilities
from consort.store import Store, keys

CHOICES = "choices.json"


@dataclass(frozen=True)
class Chosen:
    """Named members and how they become one answer."""

    id: str
    label: str
    kind: str
    members: tuple[str, ...]
    """Ids; of a cascade in the order in which they are asked."""
    combination: Combination
    promise: dict[str, Any] | None = None
    """What the threshold promises: loss, confidence, text."""


def read_choice(store: Store, study: str, run: str, wanted: str | None) -> Chosen:
    """The candidate to deploy, by its id; without one, that of the run's headline."""
    key = keys.study_file(study, run, CHOICES)
    try:
        values = json.loads(store.read(key))
    except MissingKey as e:
        raise InputError(f"the run {study}/{run} has no choice yet: {key} is not in the store {store.uri}. `consort "
                         f"evaluate {study}/{run}` writes it; or name members with --members.") from e
    try:
        candidates = {c["id"]: c for c in values["candidates"]}
        if wanted is None:
            if not values["choices"]:
                raise InputError(f"nothing fits the budget of {study}/{run}: name a candidate, such as "
                                 f"{next(iter(candidates))}.")
            wanted = values["choices"][0]["candidate"]
        if wanted not in candidates:
            raise unknown_name("candidate", wanted, candidates, "The report's table lists them.")
        return _chosen(candidates[wanted])
    except (KeyError, TypeError, ValueError) as e:
        raise IntegrityError(f"{key} is not a readable list of choices: {type(e).__name__}: {e}. `consort evaluate` "
                             "writes it anew.") from e


def _chosen(values: dict[str, Any]) -> Chosen:
    cascade = values["kind"] == "cascade"
    if values["kind"] == "soup":
        raise InputError(f"{values['id']} is a soup, the mean of members' weights, which cannot be exported yet.")
    stages = (1,) * len(values["members"]) if cascade else (len(values["members"]),)
    thresholds = tuple(math.inf if t is None else float(t) for t in values["thresholds"])
    combination = Combination(stages, values["combine"], tuple(map(float, values["temperatures"])),
                              values["confidence"] if cascade else None, thresholds if cascade else ())
    return Chosen(values["id"], values["label"], values["kind"], tuple(values["members"]), combination,
                  values.get("promise"))


def of_members(store: Store, data: Prepared, names: Sequence[str], combine: str, cache: Path) -> Chosen:
    """An ensemble of any members, named by their ids or how those begin; its temperature is fitted on validation."""
    records = exportable(store, [members.find(store, name.strip()) for name in names], data)
    log_probs = log_probabilities(store, records, data, "val", None, cache)
    temperature = fit_temperature(combine_log_probs(log_probs, combine), data.labels("val"))
    label = " + ".join(record.architecture for record in records)
    return Chosen("members", label, "single" if len(records) == 1 else "ensemble", tuple(r.id for r in records),
                  Combination((len(records),), combine, (temperature,)))
