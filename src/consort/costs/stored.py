"""Latencies that were measured before, read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from consort import hardware
from consort.costs.conditions import Asked, Conditions
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
    """At the other batch sizes, in their order."""


def stored(store: Store, architecture: str, conditions: Conditions) -> LatencyRecord | None:
    """The latency on this hardware with this version of the runtime, or None."""
    here = hardware.hardware_id(hardware.describe())
    key = keys.latency_record(here, architecture, conditions.text)
    if not store.exists(key):
        return None
    record = from_json(LatencyRecord, store.read(key), key)
    package = PACKAGES.get(conditions.runtime, conditions.runtime)
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


def chosen(store: Store, asked: Asked) -> Found:
    """Latencies that can be compared with each other: of the hardware that the settings name, else of this one where
    it was measured, else of the one with most of these architectures, of equals the one measured last.

    Raises InputError listing near ids where the settings name hardware that the store does not know.
    """
    settings = asked.settings
    if settings.hardware is None:
        first, *more = (stored_here(store, wanted) for wanted in asked.conditions(bool(hardware.gpus())))
        if first:
            return Found(first, _in_order(more))
    listed = set(store.list(keys.LATENCIES))
    known = sorted({key.split("/")[1] for key in listed})
    if settings.hardware is not None and settings.hardware not in known:
        raise unknown_name("[latency] hardware", settings.hardware, known, "`consort latency --json` prints the id of "
                           "the hardware that it measures on.")
    found = [_of_hardware(store, listed, hardware_id, wanted) for hardware_id in (
        [settings.hardware] if settings.hardware else known) for wanted in _ways(asked)]
    return max(found, key=lambda one: (len(one.first), max((r.measured_at for r in one.first.values()), default="")),
               default=Found({}, []))


def _ways(asked: Asked) -> list[list[dict[str, Conditions]]]:
    """What is asked of hardware with a GPU and without: which it is, an id does not say."""
    with_gpu, without = (asked.conditions(gpu) for gpu in (True, False))
    return [with_gpu] if with_gpu == without else [with_gpu, without]


def _of_hardware(store: Store, listed: set[str], hardware_id: str, asked: list[dict[str, Conditions]]) -> Found:
    first, *more = ({name: from_json(LatencyRecord, store.read(key), key) for name, conditions in wanted.items()
                     if (key := keys.latency_record(hardware_id, name, conditions.text)) in listed}
                    for wanted in asked)
    return Found(first, _in_order(more))


def _in_order(more: list[dict[str, LatencyRecord]]) -> list[LatencyRecord]:
    return [record for of_size in more for record in of_size.values()]
