"""The one writer and the one reader of predictions."""

import io
from pathlib import Path

import numpy as np
import pytest

from consort import members
from consort.data.prepared import Prepared
from consort.ensembles.composition import log_softmax
from consort.errors import IntegrityError, MissingKey
from consort.members.lacking import missing_logits
from consort.members.logits import log_probabilities, read_logits, write_further_logits, write_logits
from consort.members.records import MemberRecord
from consort.search.trials import ensemble_accuracy
from consort.store import keys, open_store
from owl_members import Small, npy, write_data


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(open_store(str(tmp_path / "store")), tmp_path / "cache")


@pytest.fixture
def fog(small: Small) -> Prepared:
    return write_data(small.store, small.cache, test=[2, 1])


def record_of(small: Small, number: int = 0) -> MemberRecord:
    record = members.read_record(small.store, small.ids[number])
    assert record is not None
    return record


def scores(images: int, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(images).normal(size=(images, classes)).astype(np.float32)


def test_what_is_written_is_read_and_is_no_longer_lacking(small: Small, fog: Prepared) -> None:
    store, record, further = small.store, record_of(small), {"fog": fog.fingerprint}
    record.files.clear()
    assert missing_logits(store, [record], further) == {record.id: ["val", "test", "fog"]}
    record.files.update(write_logits(store, record.id, {"val": scores(4), "test": -scores(4)}))
    write_further_logits(store, record.id, "fog", fog.fingerprint, scores(2))
    assert missing_logits(store, [record], further) == {}
    for split, other, expected in (("val", None, scores(4)), ("test", None, -scores(4)), ("test", fog, scores(2))):
        assert np.array_equal(read_logits(store, record, small.data, split, other, small.cache), expected)
        together = log_probabilities(store, [record, record], small.data, split, other, small.cache)
        assert np.array_equal(together, [log_softmax(expected)] * 2)


def test_the_bytes_are_those_of_every_store(small: Small, fog: Prepared) -> None:
    files = write_logits(small.store, "m", {"val": scores(4)})
    write_further_logits(small.store, "m", "fog", fog.fingerprint, scores(2))
    assert files == {"logits-val.npy": {"sha256": files["logits-val.npy"]["sha256"], "bytes": 128 + 4 * 3 * 4}}
    assert np.array_equal(np.load(io.BytesIO(small.store.read("members/m/logits-val.npy"))), scores(4))
    sha = members.write_files(small.store, "copy", {"x": npy(scores(2))})["x"]["sha256"]
    assert small.store.read(f"members/m/logits-{fog.fingerprint}.json") == (
        f'{{"sha256":"{sha}","test_set":"fog"}}'.encode())


@pytest.mark.parametrize(("content", "rule"), [
    (b"no array", "must be an .npy file of numbers"),
    (npy(np.zeros((4, 2), np.float32)), r"must hold float32 logits \[4, 3\].*got float32 \[4, 2\]"),
    (npy(np.zeros((4, 3))), r"must hold float32 logits \[4, 3\].*got float64"),
    (npy(np.full((4, 3), np.inf, np.float32)), "must hold finite logits, got 12"),
])
def test_what_cannot_be_logits_is_refused_by_every_reader(small: Small, content: bytes, rule: str) -> None:
    record = record_of(small)
    record.files.update(members.write_files(small.store, record.id, {"logits-val.npy": content}))
    with pytest.raises(IntegrityError, match=f"{record.id}/logits-val.npy {rule}"):
        read_logits(small.store, record, small.data, "val", None, small.cache)
    with pytest.raises(IntegrityError, match=f"{record.id}/logits-val.npy {rule}"):
        ensemble_accuracy(small.store, [record_of(small, 1), record], small.data, "geometric")


def test_altered_logits_are_named(small: Small, fog: Prepared) -> None:
    record = record_of(small)
    write_further_logits(small.store, record.id, "fog", fog.fingerprint, scores(2))
    for key, split, other in ((keys.member_file(record.id, "logits-test.npy"), "test", None),
                              (keys.extra_logits(record.id, fog.fingerprint), "test", fog)):
        content = bytearray(small.store.read(key))
        content[-1] ^= 1
        small.store.write(key, bytes(content))
        with pytest.raises(IntegrityError, match=f"{key} was altered"):
            read_logits(small.store, record, small.data, split, other, small.cache)


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"{}"])
def test_a_damaged_note_of_the_sha256_is_named(small: Small, fog: Prepared, content: bytes) -> None:
    record = record_of(small)
    write_further_logits(small.store, record.id, "fog", fog.fingerprint, scores(2))
    key = keys.extra_logits_record(record.id, fog.fingerprint)
    small.store.write(key, content)
    with pytest.raises(IntegrityError, match=f"{key} must be JSON with a sha256"):
        read_logits(small.store, record, small.data, "test", fog, small.cache)


def test_logits_that_nobody_predicted_are_missing(small: Small, fog: Prepared) -> None:
    record = record_of(small)
    with pytest.raises(MissingKey, match="has not predicted this test set"):
        read_logits(small.store, record, small.data, "test", fog, small.cache)
    del record.files["logits-val.npy"]
    with pytest.raises(MissingKey, match="has no logits for this split"):
        read_logits(small.store, record, small.data, "val", None, small.cache)


def test_a_tie_is_wrong_in_a_trial_as_in_an_evaluation(small: Small) -> None:
    record = record_of(small)
    level = np.zeros((4, 3), np.float32)
    record.files.update(write_logits(small.store, record.id, {"val": level}))
    assert ensemble_accuracy(small.store, [record], small.data, "geometric") == 0.0
