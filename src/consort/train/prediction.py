"""Predict from the weights in the store: logits that are missing, or all of them to compare with what is stored."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import safetensors.torch

from consort import members
from consort.data.prepared import Prepared
from consort.data.preprocessing import AS_PREPARED, Preprocessing
from consort.ensembles.metrics import accuracy
from consort.errors import InputError
from consort.events import Listener, Predicted, unheard
from consort.members.lacking import missing_logits
from consort.members.logits import read_logits, write_further_logits, write_logits
from consort.members.records import MemberRecord
from consort.models import compute
from consort.models.families import build
from consort.models.forward import predict_logits
from consort.models.input_size import input_size
from consort.store import Store

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
            loader_workers: int = 0, listen: Listener = unheard) -> list[Comparison]:
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
    with compute.memory_for(f"the predictions of member {member_id}", "End the other process that fills it, or use "
                            "another GPU; CUDA_VISIBLE_DEVICES= (empty) predicts on the processor."):
        return _predict(store, record, data, {name: wanted[name] for name in todo}, missing, loader_workers, listen)


def _predict(store: Store, record: MemberRecord, data: Prepared, todo: Mapping[str, tuple[Prepared, str]],
             missing: Sequence[str], loader_workers: int, listen: Listener) -> list[Comparison]:
    spec = members.read_spec(store, record.id)
    place = compute.choose(record.precision)
    network = build(spec.architecture, len(data.classes))
    network.load_state_dict(safetensors.torch.load(members.read_file(store, record, "weights.safetensors")))
    network = place.place(network)
    own = Preprocessing.from_dict(record.preprocessing) if record.preprocessing else None
    if own is not None and own.fit == AS_PREPARED:
        data, own = _scaled(data, own.mean, own.std), None
    comparisons = []
    for name, (prepared, split) in todo.items():
        like = _scaled(prepared, data.manifest.mean, data.manifest.std)
        logits = predict_logits(network, like, split, input_size(spec, data), place, loader_workers, own)
        _check_finite(record, name, logits)
        listen(Predicted(record.id, name, accuracy(logits, prepared.labels(split))))
        if name in missing:
            record = _write(store, record, name, prepared, logits)
        else:
            comparisons.append(_compare(store, record, name, prepared, split, logits))
    return comparisons


def _check_finite(record: MemberRecord, test_set: str, logits: np.ndarray) -> None:
    """Members that were trained here are finite: training says so."""
    images = int((~np.isfinite(logits)).any(axis=1).sum())
    if images:
        raise InputError(f"member {record.id} gives infinite or NaN scores for {images:,} of the {len(logits):,} "
                         f"images of {test_set}: its weights cannot be used as they are. Import others: some published "
                         "sets lack a classifier (torchvision's IMAGENET1K_FEATURES).")


def _scaled(data: Prepared, mean: Sequence[float], std: Sequence[float]) -> Prepared:
    """The same images, normalised with another mean and deviation: for a test set those of the images that the network
    was trained on."""
    return dataclasses.replace(data, manifest=dataclasses.replace(data.manifest, mean=list(mean), std=list(std)))


def _write(store: Store, record: MemberRecord, name: str, data: Prepared, logits: np.ndarray) -> MemberRecord:
    if name not in ("val", "test"):
        write_further_logits(store, record.id, name, data.fingerprint, logits)
        return record
    files = record.files | write_logits(store, record.id, {name: logits})
    val_accuracy = accuracy(logits, data.labels("val")) if name == "val" else record.val_accuracy
    record = dataclasses.replace(record, files=files, val_accuracy=val_accuracy)
    members.write_record(store, record)
    return record


def _compare(store: Store, record: MemberRecord, name: str, data: Prepared, split: str,
             logits: np.ndarray) -> Comparison:
    stored = read_logits(store, record, data, split, None if name in ("val", "test") else data, data.cache)
    labels = data.labels(split)
    return Comparison(record.id, name, bool(np.array_equal(stored, logits)), float(np.abs(stored - logits).max()),
                      accuracy(stored, labels), accuracy(logits, labels))
