"""Latencies that were measured before, read without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consort import hardware
from consort.costs.conditions import Asked, Conditions, Part, text_of
from consort.costs.records import LatencyRecord
from consort.documents import from_json
from consort.errors import unknown_name
from consort.store import Store, keys

PACKAGES = {"graph": "torch"}
"""Runtime -> the package whose version counts, where it has another name."""


@dataclass(frozen=True)
class Found:
    """Latencies that compare: all of one hardware, and what one runtime was asked for."""

    first: dict[str, LatencyRecord]
    """Architecture -> its latency at the batch size that answers are about."""
    more: list[LatencyRecord]
    """At the other batch sizes, in their order; then of ensembles whose members run at the same time."""


def stored(store: Store, architecture: str, conditions: Conditions) -> LatencyRecord | None:
    """The latency on this hardware with this version of the runtime, or None."""
    return _stored(store, architecture, conditions.text, conditions.runtime)


def stored_together(store: Store, label: str, parts: Sequence[Part]) -> LatencyRecord | None:
    """The same of an ensemble whose members run at the same time."""
    return _stored(store, label, text_of(parts), parts[0][1].runtime)


def _stored(store: Store, name: str, text: str, runtime: str) -> LatencyRecord | None:
    key = keys.latency_record(hardware.hardware_id(hardware.describe()), name, text)
    if not store.exists(key):
        return None
    record = from_json(LatencyRecord, store.read(key), key)
    package = PACKAGES.get(runtime, runtime)
    version = hardware.versions((package,)).get(package)
    return record if version in (None, record.versions.get(package)) else None


def stored_here(store: Store, wanted: Mapping[str, Conditions]) -> dict[str, LatencyRecord]:
    """Architecture -> its latency on this hardware, where it is known."""
    found = {name: stored(store, name, conditions) for name, conditions in wanted.items()}
    return {name: record for name, record in found.items() if record is not None}


def lacking(store: Store, asked: Asked, gpu: bool) -> list[dict[str, Conditions]]:
    """Of all that is asked what is not known of this hardware, for each batch size. gpu: whether it has one."""
    found = []
    for wanted in asked.conditions(gpu):
        known = stored_here(store, wanted)
        found.append({name: conditions for name, conditions in wanted.items() if name not in known})
    return found


def lacking_together(store: Store, asked: Asked, gpu: bool) -> dict[str, list[Part]]:
    """The same of ensembles: label -> members."""
    return {label: parts for label, parts in asked.together(gpu).items()
            if stored_together(store, label, parts) is None}


def chosen(store: Store, asked: Asked) -> Found:
    """Latencies that can be compared with each other: of the hardware that the settings name, else of this one where
    it was measured, else of the one with most of these architectures, of equals the one measured last.

    Raises InputError listing near ids where the settings name hardware that the store does not know.
    """
    settings = asked.settings
    if settings.hardware is None:
        gpu = bool(hardware.gpus())
        first, *more = (stored_here(store, wanted) for wanted in asked.conditions(gpu))
        together = (stored_together(store, label, parts) for label, parts in asked.together(gpu).items())
        if first:
            return Found(first, _in_order(more) + [record for record in together if record is not None])
    listed = set(store.list(keys.LATENCIES))
    known = sorted({key.split("/")[1] for key in listed})
    if settings.hardware is not None and settings.hardware not in known:
        raise unknown_name("[latency] hardware", settings.hardware, known, "`consort latency --json` prints the id of "
                           "the hardware that it measures on.")
    found = [_of_hardware(store, listed, hardware_id, asked, gpu) for hardware_id in (
        [settings.hardware] if settings.hardware else known) for gpu in (True, False)]
    return max(found, key=lambda one: (len(one.first), max((r.measured_at for r in one.first.values()), default="")),
               default=Found({}, []))


def _of_hardware(store: Store, listed: set[str], hardware_id: str, asked: Asked, gpu: bool) -> Found:
    """What is known of some hardware, with a GPU or without: which it is, its id does not say."""
    def read(name: str, text: str) -> LatencyRecord | None:
        key = keys.latency_record(hardware_id, name, text)
        return from_json(LatencyRecord, store.read(key), key) if key in listed else None

    first, *more = ({name: record for name, conditions in wanted.items()
                     if (record := read(name, conditions.text)) is not None} for wanted in asked.conditions(gpu))
    together = (read(label, text_of(parts)) for label, parts in asked.together(gpu).items())
    return Found(first, _in_order(more) + [record for record in together if record is not None])


def _in_order(more: list[dict[str, LatencyRecord]]) -> list[LatencyRecord]:
    return [record for of_size in more for record in of_size.values()]
