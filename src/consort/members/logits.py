"""The predictions of members: the one writer and the one reader of their logits in the store.

float32 [images, classes], rows in the data's fixed order. Those on validation and test are files of the member, whose
sha256 is in its record; those on a further test set have their sha256 in a file beside them, written after them.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from consort.data.prepared import Prepared
from consort.documents import canonical_json, sha256
from consort.ensembles.composition import log_softmax
from consort.errors import IntegrityError, MissingKey
from consort.members.records import MemberRecord
from consort.members.stored import write_files
from consort.store import Store, keys


def write_logits(store: Store, member_id: str, logits: Mapping[str, np.ndarray]) -> dict[str, dict]:
    """Write logits on validation or test, by split; returns what the member's record says of these files."""
    return write_files(store, member_id, {keys.logits_name(split): _npy(array) for split, array in logits.items()})


def write_further_logits(store: Store, member_id: str, test_set: str, fingerprint: str, logits: np.ndarray) -> None:
    """Write logits on a further test set, whose name in the study is `test_set`."""
    data = _npy(logits)
    store.write(keys.extra_logits(member_id, fingerprint), data)
    store.write(keys.extra_logits_record(member_id, fingerprint),
                canonical_json({"sha256": sha256(data), "test_set": test_set}).encode())


def read_logits(store: Store, record: MemberRecord, data: Prepared, split: str, other: Prepared | None,
                cache: Path) -> np.ndarray:
    """Verified logits on a split of the study's data, or on another test set.

    Raises MissingKey where the member has none, and IntegrityError where they are not what was written, not float32
    [images, classes], or not finite.
    """
    if other is None:
        key = keys.member_file(record.id, keys.logits_name(split))
        expected = _sha256_of_own(record, keys.logits_name(split))
    else:
        key = keys.extra_logits(record.id, other.fingerprint)
        expected = _sha256_of_further(store, record.id, other.fingerprint)
    return _verified(store, key, expected, ((other or data).counts[split], len(data.classes)), cache)


def log_probabilities(store: Store, records: Sequence[MemberRecord], data: Prepared, split: str, other: Prepared | None,
                      cache: Path) -> np.ndarray:
    """Log-probabilities of several members, float32 [members, images, classes], from logits as `read_logits` gives."""
    stacked = np.empty((len(records), (other or data).counts[split], len(data.classes)), dtype=np.float32)
    for row, record in zip(stacked, records, strict=True):
        row[:] = log_softmax(read_logits(store, record, data, split, other, cache))
    return stacked


def _npy(array: np.ndarray) -> bytes:
    """The array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _verified(store: Store, key: str, expected: str, shape: tuple[int, int], cache: Path) -> np.ndarray:
    again = "Delete this file and run the study again, which predicts it anew; or remove the member with `consort rm`."
    path = store.get_file(key, cache)
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise IntegrityError(f"{key} was altered: its sha256 is {actual[:12]}, the record beside it says "
                             f"{expected[:12]}. {again}")
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as e:
        raise IntegrityError(f"{key} must be an .npy file of numbers, and is not: {e}. {again}") from e
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


def _sha256_of_further(store: Store, member_id: str, fingerprint: str) -> str:
    key = keys.extra_logits_record(member_id, fingerprint)
    try:
        return json.loads(store.read(key))["sha256"]
    except MissingKey as e:
        raise MissingKey(f"{keys.extra_logits(member_id, fingerprint)} is not in the store {store.uri}: the member has "
                         "not predicted this test set. `consort predict` writes it.") from e
    except (ValueError, KeyError, TypeError) as e:
        raise IntegrityError(f"{key} must be JSON with a sha256, and is not: {e}. Delete this file and run the "
                             "study again, which predicts anew.") from e
