"""How long one forward pass takes: measured, with its spread, cached in the store per hardware."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from consort import hardware
from consort.costs.conditions import Conditions, Part, size_text, text_of
from consort.costs.formats import faster
from consort.costs.records import QUANTILES, LatencyRecord
from consort.costs.runtimes import memory_for, place_of, ready
from consort.costs.stored import stored, stored_together
from consort.costs.timed import Ready, times_ms
from consort.documents import to_json
from consort.store import Store, keys

FORMAT_PASSES = 9
"""Timed passes of each number format before one is chosen, after FORMAT_WARM_UP."""
FORMAT_WARM_UP = 3


def measure(architecture: str, conditions: Conditions, repeats: int = 50) -> LatencyRecord:
    """Median and spread, in milliseconds, of `repeats` forward passes of one batch after a warm-up."""
    return measure_together({architecture: conditions}, repeats)[architecture]


def measure_together(wanted: Mapping[str, Conditions], repeats: int = 50) -> dict[str, LatencyRecord]:
    """The same of several architectures, which take turns. They differ in the size of their images, and in the number
    format where that is a recipe's own."""
    with memory_for([*wanted.items()]):
        settled = {name: _settled(name, conditions) for name, conditions in wanted.items()}
        prepared = {name: ready([(name, conditions)]) for name, conditions in settled.items()}
        times = times_ms(prepared, repeats)
    return {name: _record(name, conditions, prepared[name], times[name]) for name, conditions in wanted.items()}


def measure_at_once(label: str, parts: Sequence[Part], repeats: int = 50) -> LatencyRecord:
    """The same of an ensemble whose members run at the same time, each with a batch of its own. Takes a GPU."""
    with memory_for(parts):
        prepared = ready(parts)
        times = times_ms({label: prepared}, repeats)[label]
    record = _record(label, parts[0][1], prepared, times)
    return replace(record, together=[name for name, _ in parts])


def _settled(architecture: str, conditions: Conditions) -> Conditions:
    """The same conditions with the faster number format in place of "auto"."""
    if conditions.precision != "auto" or conditions.runtime == "onnxruntime":
        return conditions
    if place_of(conditions).precision == "float32":
        return conditions
    both = {precision: ready([(architecture, replace(conditions, precision=precision))])
            for precision in ("float32", "bfloat16")}
    return replace(conditions, precision=faster(times_ms(both, FORMAT_PASSES, FORMAT_WARM_UP)))


def _record(architecture: str, conditions: Conditions, timed: Ready, times: Sequence[float]) -> LatencyRecord:
    described = hardware.describe()
    p10, median, p90 = (round(float(q), 4) for q in np.percentile(times, [10, 50, 90]))
    quantiles = [round(float(q), 4) for q in np.quantile(times, np.linspace(0, 1, QUANTILES + 1))]
    return LatencyRecord(
        architecture=architecture, input=size_text(conditions.input), classes=conditions.classes,
        batch_size=conditions.batch_size, threads=conditions.threads, device=timed.device,
        precision=timed.precision, repeats=len(times), median_ms=median, p10_ms=p10, p90_ms=p90, hardware=described,
        hardware_id=hardware.hardware_id(described), versions=timed.versions,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"), quantiles_ms=quantiles, runtime=timed.runtime)


def find_or_measure(store: Store, architecture: str, conditions: Conditions, repeats: int = 50,
                    again: bool = False) -> LatencyRecord:
    """The latency on this hardware: from the store, or measured now, which can take minutes, and stored."""
    return find_or_measure_all(store, {architecture: conditions}, repeats, again)[architecture]


def find_or_measure_all(store: Store, wanted: Mapping[str, Conditions], repeats: int = 50,
                        again: bool = False) -> dict[str, LatencyRecord]:
    """The same of several architectures; those that have to be measured are measured together."""
    known = {} if again else {name: record for name, conditions in wanted.items()
                              if (record := stored(store, name, conditions)) is not None}
    new = measure_together({name: conditions for name, conditions in wanted.items() if name not in known}, repeats)
    for name, record in new.items():
        store.write(keys.latency_record(record.hardware_id, name, wanted[name].text), to_json(record))
    return {name: known.get(name) or new[name] for name in wanted}


def find_or_measure_at_once(store: Store, label: str, parts: Sequence[Part], repeats: int = 50,
                            again: bool = False) -> LatencyRecord:
    """The latency of an ensemble whose members run at the same time, each in the format in which it is timed alone."""
    known = None if again else stored_together(store, label, parts)
    if known is not None:
        return known
    alone = find_or_measure_all(store, dict(parts), repeats)
    record = measure_at_once(label, [(name, replace(conditions, precision=alone[name].precision))
                                     for name, conditions in parts], repeats)
    store.write(keys.latency_record(record.hardware_id, label, text_of(parts)), to_json(record))
    return record
