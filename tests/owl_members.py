"""A few members whose predictions are written by hand, and the study that evaluates them."""

import io
from pathlib import Path

import numpy as np

from consort.answer import stored
from consort.answer.choices import Choices
from consort.costs.records import LatencyRecord
from consort.data.prepared import DataManifest, Prepared, open_prepared
from consort.documents import sha256, to_json
from consort.evaluate.step import evaluate
from consort.members.records import MemberRecord
from consort.store import Store, keys
from consort.study.file import parse_study

CLASSES = ["cat", "dog", "owl"]
VAL = [0, 1, 2, 0]
TEST = [1, 2, 0, 1]
MACS = {"wrn-10-1": 10_000_000, "wrn-10-2": 40_000_000}


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def write_data(store: Store, cache: Path, classes=CLASSES, **labels) -> Prepared:
    """Prepared data that has labels only: evaluation reads nothing else."""
    contents = {f"{split}-labels.npy": npy(np.array(values, dtype=np.int64)) for split, values in labels.items()}
    manifest = DataManifest("owls", "arrays", list(classes), {split: len(v) for split, v in labels.items()}, [8, 8],
                            [0.5] * 3, [0.2] * 3,
                            {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in contents.items()})
    for name, data in contents.items():
        store.write(keys.data_file(manifest.fingerprint, name), data)
    store.write(keys.data_manifest(manifest.fingerprint), to_json(manifest))
    return open_prepared(store, manifest.fingerprint, cache)


def write_member(store: Store, data: Prepared, architecture: str, seed: int, val: np.ndarray, test: np.ndarray,
                 imported: bool = False) -> str:
    member_id = f"{architecture}-s{seed}-0123456789"
    files = {f"logits-{split}.npy": npy(np.asarray(logits, dtype=np.float32))
             for split, logits in (("val", val), ("test", test))}
    for name, content in files.items():
        store.write(keys.member_file(member_id, name), content)
    macs = MACS.get(architecture, 1_000_000)
    store.write(keys.member_record(member_id), to_json(MemberRecord(
        id=member_id, architecture=architecture, data=data.fingerprint, recipe={}, seed=seed,
        files={name: {"sha256": sha256(c), "bytes": len(c)} for name, c in files.items()}, macs=macs,
        params=macs // 100, input="8x8", val_accuracy=0.5, precision="float32", imported=imported,
        train_images=0 if imported else 1000, train_macs=0 if imported else 3000 * macs,
        train_cpu_seconds=0.0 if imported else 7.0 + seed)))
    return member_id


def voting(labels, right, strength: float) -> np.ndarray:
    """Logits of a member that gives `strength` to the true class of the images in `right`, to the next class of the
    others, and 0 to the rest."""
    logits = np.zeros((len(labels), len(CLASSES)))
    for image, label in enumerate(labels):
        logits[image, label if image in right else (label + 1) % len(CLASSES)] = strength
    return logits


def study(text: str = "", architectures: str = '"wrn-10-1" = 3\n"wrn-10-2" = 1'):
    return parse_study('name = "owls"\nquestion = "one or three?"\n[data]\nsource = "owls.zip"\n'
                       f"[architectures]\n{architectures}\n[evaluate]\nbootstrap = 200\nmixed_members = 2\n{text}\n",
                       "owls.toml")


LATENCIES = {"wrn-10-1": 2.0, "wrn-10-2": 5.0}


def latency(architecture: str) -> LatencyRecord:
    ms = LATENCIES[architecture]
    return LatencyRecord(architecture, "8x8", 3, 1, 1, "cpu", "float32", 5, ms, ms, ms, {}, "hw", {}, "today")


class Small:
    """Three small members that err on different images, and a large one that is worse."""

    def __init__(self, store: Store, cache: Path) -> None:
        self.store, self.cache = store, cache
        self.data = write_data(store, cache, val=VAL, test=TEST)
        self.ids = [
            write_member(store, self.data, "wrn-10-1", 0, voting(VAL, {0, 1, 2}, 4), voting(TEST, {0, 1, 2}, 4)),
            write_member(store, self.data, "wrn-10-1", 1, voting(VAL, {0, 1, 3}, 2), voting(TEST, {0, 1, 3}, 2)),
            write_member(store, self.data, "wrn-10-1", 2, voting(VAL, {0, 2, 3}, 4), voting(TEST, {0, 1}, 4)),
            write_member(store, self.data, "wrn-10-2", 0, voting(VAL, {0, 1}, 4), voting(TEST, {0}, 4)),
        ]

    def evaluate(self, the_study=None, ids=None, also=None, latencies=None, missing=None, context=None) -> dict:
        return evaluate(self.store, the_study or study(), "r1", self.ids if ids is None else ids, self.data,
                        also or {}, latencies or {}, missing or {}, self.cache, context or {})

    def choices(self) -> Choices:
        """Of the last evaluation."""
        known = stored.read(self.store, "owls", "r1")
        assert known is not None
        return known[0]


def row_of(summary: dict, ensemble: str, combine: str = "geometric", test_set: str = "test") -> dict:
    rows = [row for row in summary["rows"]
            if (row["ensemble"], row["combine"], row["test_set"]) == (ensemble, combine, test_set)]
    assert len(rows) == 1
    return rows[0]
