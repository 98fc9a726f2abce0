"""The predictions of members: their logits in the store, as they are written and read."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from consort.data.prepared import Prepared
from consort.ensembles.composition import log_softmax
from consort.errors import IntegrityError, MissingKey
from consort.members.records import MemberRecord
from consort.store import Store, keys


def npy_bytes(array: np.ndarray) -> bytes:
    """The array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npy_array(data: bytes) -> np.ndarray:
    """The array in the bytes of an .npy file."""
    return np.load(io.BytesIO(data), allow_pickle=False)


def log_probabilities(store: Store, records: Sequence[MemberRecord], data: Prepared, split: str, other: Prepared | None,
               cache: Path) -> np.ndarray:
    """Verified log-probabilities, float32 [members, images, classes], on a split of the study's data or on another
    test set."""
    shape = ((other or data).counts[split], len(data.classes))
    stacked = np.empty((len(records), *shape), dtype=np.float32)
    for row, record in zip(stacked, records, strict=True):
        if other:
            key = keys.extra_logits(record.id, other.fingerprint)
            expected = _sha256_of_extra(store, key)
        else:
            key = keys.member_file(record.id, f"logits-{split}.npy")
            expected = _sha256_of_own(record, f"logits-{split}.npy")
        row[:] = log_softmax(_logits(store, key, expected, shape, cache))
    return stacked


def _logits(store: Store, key: str, expected: str, shape: tuple[int, int], cache: Path) -> np.ndarray:
    again = "Delete this file and run the study again, which predicts it anew; or remove the member with `consort rm`."
    path = store.get_file(key, cache)
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise IntegrityError(f"{key} was altered: its sha256 is {actual[:12]}, the record beside it says "
                             f"{expected[:12]}. {again}")
    logits = np.load(path, mmap_mode="r", allow_pickle=False)
    if logits.dtype != np.float32 or logits.shape != shape:
        raise IntegrityError(f"{key} must hold float32 logits {list(shape)}, a row per image and a column per class, "
                             f"got {logits.dtype} {list(logits.shape)}. {again}")
    if not np.isfinite(logits).all():
        raise IntegrityError(f"{key} must hold finite logits, got {np.count_nonzero(~np.isfinite(logits))} that are "
                             f"not. {again}")
    return logits


def _sha256_of_own(record: MemberRecord, name: str) -> str:
    if name not in record.files:
        raise MissingKey(f"{keys.member_record(record.id)} lists no {name}: the member has no logits for this split. "
                         "`consort predict` writes them.")
    return record.files[name]["sha256"]


def _sha256_of_extra(store: Store, key: str) -> str:
    sidecar = key.removesuffix(".npy") + ".json"
    try:
        return json.loads(store.read(sidecar))["sha256"]
    except MissingKey as e:
        raise MissingKey(f"{key} is not in the store {store.uri}: the member has not predicted this test set. "
                         "`consort predict` writes it.") from e
    except (ValueError, KeyError, TypeError) as e:
        raise IntegrityError(f"{sidecar} must be JSON with a sha256, and is not: {e}. Delete this file and run the "
                             "study again, which predicts anew.") from e
