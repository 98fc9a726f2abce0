"""Predict from the weights in the store: logits that are missing, or all of them to compare with what is stored."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import safetensors.torch

from consort import members
from consort.data.prepared import Prepared
from consort.documents import canonical_json, sha256
from consort.errors import InputError, IntegrityError
from consort.members.lacking import missing_logits
from consort.members.logits import npy_array, npy_bytes
from consort.members.records import MemberRecord
from consort.models import compute
from consort.models.families import build
from consort.models.forward import accuracy, predict_logits
from consort.models.input_size import input_size
from consort.store import Store, keys

TOLERANCE = 0.1
"""Logits that differ by more than this, on hardware that rounds differently, are another network's."""


@dataclass(frozen=True)
class Comparison:
    """Stored logits beside the same logits computed again."""

    member: str
    test_set: str
    """val, test, or the name of a further test set."""
    identical: bool
    largest_difference: float
    stored_accuracy: float
    recomputed_accuracy: float

    @property
    def agrees(self) -> bool:
        return self.largest_difference <= TOLERANCE


def predict(store: Store, member_id: str, data: Prepared, also: Mapping[str, Prepared], recompute: bool = False,
            loader_workers: int = 0, report: Callable[..., None] = lambda event, **values: None) -> list[Comparison]:
    """Write the logits of a finished member that are missing; with `recompute`, compare those that are stored."""
    record = members.read_record(store, member_id)
    if record is None:
        raise InputError(f"member {member_id} is not finished: there are no weights to predict with.")
    wanted = {split: (data, split) for split in ("val", "test")} | {name: (d, "test") for name, d in also.items()}
    further = {name: d.fingerprint for name, d in also.items()}
    missing = missing_logits(store, [record], further).get(member_id, [])
    todo = list(wanted) if recompute else missing
    if not todo:
        return []
    spec = members.read_spec(store, member_id)
    place = compute.choose(record.precision)
    network = build(spec.architecture, len(data.classes))
    network.load_state_dict(safetensors.torch.load(members.read_file(store, record, "weights.safetensors")))
    network = place.place(network)
    comparisons = []
    for name in todo:
        prepared, split = wanted[name]
        logits = predict_logits(network, _scaled_like(data, prepared), split, input_size(spec, data), place,
                                loader_workers)
        report("predicted", member=member_id, test_set=name, accuracy=accuracy(logits, prepared.labels(split)))
        if name in missing:
            record = _write(store, record, name, prepared, logits)
        else:
            comparisons.append(_compare(store, record, name, prepared, split, logits))
    return comparisons


def _scaled_like(data: Prepared, test_set: Prepared) -> Prepared:
    """The test set, normalised as the images that the network was trained on."""
    manifest = dataclasses.replace(test_set.manifest, mean=data.manifest.mean, std=data.manifest.std)
    return dataclasses.replace(test_set, manifest=manifest)


def _write(store: Store, record: MemberRecord, name: str, data: Prepared, logits: np.ndarray) -> MemberRecord:
    raw = npy_bytes(logits)
    if name in ("val", "test"):
        files = record.files | members.write_files(store, record.id, {f"logits-{name}.npy": raw})
        val_accuracy = accuracy(logits, data.labels("val")) if name == "val" else record.val_accuracy
        record = dataclasses.replace(record, files=files, val_accuracy=val_accuracy)
        members.write_record(store, record)
        return record
    store.write(keys.extra_logits(record.id, data.fingerprint), raw)
    store.write(keys.extra_logits_record(record.id, data.fingerprint),
                canonical_json({"sha256": sha256(raw), "test_set": name}).encode())
    return record


def _compare(store: Store, record: MemberRecord, name: str, data: Prepared, split: str,
             logits: np.ndarray) -> Comparison:
    if name in ("val", "test"):
        stored = npy_array(members.read_file(store, record, f"logits-{name}.npy"))
    else:
        stored = read_extra_logits(store, record.id, data.fingerprint)
    labels = data.labels(split)
    return Comparison(record.id, name, bool(np.array_equal(stored, logits)), float(np.abs(stored - logits).max()),
                      accuracy(stored, labels), accuracy(logits, labels))


def read_extra_logits(store: Store, member_id: str, fingerprint: str) -> np.ndarray:
    """Logits on a further test set; raises MissingKey where `predict` has not written them, and
    IntegrityError where they are not what it wrote."""
    key = keys.extra_logits(member_id, fingerprint)
    expected = json.loads(store.read(keys.extra_logits_record(member_id, fingerprint)))["sha256"]
    raw = store.read(key)
    if sha256(raw) != expected:
        raise IntegrityError(f"{key} was altered: its sha256 is not the one in the record beside it. Delete the file "
                             "and run `consort predict`.")
    return npy_array(raw)
