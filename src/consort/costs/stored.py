"""Latencies that were measured before, read without torch."""

from collections.abc import Mapping

from consort import hardware
from consort.costs.conditions import Conditions, conditions_of, parse_size
from consort.costs.records import LatencyRecord
from consort.documents import from_json
from consort.errors import unknown_name
from consort.store import Store, keys
from consort.study.file import Latency


def stored(store: Store, architecture: str, conditions: Conditions) -> LatencyRecord | None:
    """The latency on this hardware with this version of the runtime, or None."""
    here = hardware.hardware_id(hardware.describe())
    key = keys.latency_record(here, architecture, conditions.text)
    if not store.exists(key):
        return None
    record = from_json(LatencyRecord, store.read(key), key)
    version = hardware.versions((conditions.runtime,)).get(conditions.runtime)
    return record if version in (None, record.versions.get(conditions.runtime)) else None


def stored_here(store: Store, sizes: Mapping[str, str], classes: int, settings: Latency) -> dict[str, LatencyRecord]:
    """Architecture -> its latency on this hardware, where it is known. sizes: architecture -> such as "32x32"."""
    found = {name: stored(store, name, conditions_of(settings, parse_size(size), classes))
             for name, size in sizes.items()}
    return {name: record for name, record in found.items() if record is not None}


def chosen(store: Store, sizes: Mapping[str, str], classes: int, settings: Latency) -> dict[str, LatencyRecord]:
    """Latencies that can be compared with each other, all of one hardware: the one that the settings name, else this
    one where it was measured, else the one with most of these architectures, of equals the one measured last.

    Raises InputError listing near ids where the settings name hardware that the store does not know.
    """
    if settings.hardware is None and (here := stored_here(store, sizes, classes, settings)):
        return here
    listed = set(store.list(keys.LATENCIES))
    known = sorted({key.split("/")[1] for key in listed})
    if settings.hardware is not None and settings.hardware not in known:
        raise unknown_name("[latency] hardware", settings.hardware, known, "`consort latency --json` prints the id of "
                           "the hardware that it measures on.")
    found = [_of_hardware(store, listed, hardware_id, sizes, classes, settings)
             for hardware_id in ([settings.hardware] if settings.hardware else known)]
    return max(found, key=lambda of_one: (len(of_one), max((r.measured_at for r in of_one.values()), default="")),
               default={})


def _of_hardware(store: Store, listed: set[str], hardware_id: str, sizes: Mapping[str, str], classes: int,
                 settings: Latency) -> dict[str, LatencyRecord]:
    wanted = {name: keys.latency_record(hardware_id, name, conditions_of(settings, parse_size(size), classes).text)
              for name, size in sizes.items()}
    return {name: from_json(LatencyRecord, store.read(key), key) for name, key in wanted.items() if key in listed}
