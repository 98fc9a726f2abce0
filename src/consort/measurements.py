"""Latencies that were measured before, read without torch."""

from consort import hardware
from consort.records import LatencyRecord, from_json
from consort.store import Store, keys


def stored(store: Store, architecture: str, size: str, classes: int, batch_size: int,
           threads: int) -> LatencyRecord | None:
    """The latency on this hardware with this version of torch, or None; `size` is height x width."""
    here = hardware.hardware_id(hardware.describe())
    key = keys.latency_record(here, architecture, size, classes, batch_size, threads)
    if not store.exists(key):
        return None
    record = from_json(LatencyRecord, store.read(key), key)
    torch = hardware.versions().get("torch")
    return record if torch in (None, record.versions.get("torch")) else None
