"""What a bundle does on the study's images, by running it; and what the study's own predictions say of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from consort import hardware
from consort.data.image_folder import ImageFolder
from consort.data.prepared import Prepared
from consort.documents import canonical_json, sha256
from consort.ensembles import metrics
from consort.export.combination import Combination, answers
from consort.export.running import ImageFiles, latencies_ms
from consort.export.verify import agreement, share_interval
from consort.members.logits import log_probabilities
from consort.members.records import MemberRecord
from consort.store import Store, keys

ANSWER = np.dtype([("class", "<i4"), ("probability", "<f4"), ("asked", "<i4")])
"""What the study says of an image: the class, its probability, how many members were asked."""


def split_images(data: Prepared, split: str, rule: dict[str, Any]) -> Sequence[np.ndarray]:
    """The images of a split as the bundle takes them, uint8 [height, width, 3] each."""
    if data.manifest.layout == "arrays":
        return data.images(split)  # type: ignore[return-value]  # an array [N, height, width, 3] is a sequence of them
    return ImageFiles(data.paths(split), ImageFolder(data.image_root).read, rule)


def quality(probabilities: np.ndarray, asked: np.ndarray, labels: np.ndarray, combination: Combination,
            macs: Sequence[int]) -> dict[str, Any]:
    """Accuracy with its 95 % interval, calibration and mean cost of answers; macs of networks in the order asked."""
    log_probs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    right = float(metrics.correct(probabilities, labels).mean())
    low, high = share_interval(right, len(labels))
    costs = dict(zip(combination.asked_after, np.cumsum(macs)[np.array(combination.asked_after) - 1], strict=True))
    shares = {count: float((asked == count).mean()) for count in combination.asked_after}
    return {"images": len(labels), "accuracy": _rounded(right), "low": _rounded(low), "high": _rounded(high),
            "nll": _rounded(metrics.nll(log_probs, labels)), "ece": _rounded(metrics.ece(log_probs, labels)),
            "mean_macs": round(sum(share * costs[count] for count, share in shares.items())),
            "asked": {str(count): _rounded(share) for count, share in shares.items()}}


def study_answers(store: Store, records: Sequence[MemberRecord], data: Prepared, split: str, combination: Combination,
                  cache: Path) -> np.ndarray:
    """ANSWER [images] from the predictions in the store; records in the order in which members are asked."""
    final, asked = answers(log_probabilities(store, records, data, split, None, cache), combination)
    found = np.empty(len(final), dtype=ANSWER)
    found["class"], found["asked"] = final.argmax(axis=1), asked
    found["probability"] = np.exp(final.max(axis=1))
    return found


def study_agreement(probabilities: np.ndarray, asked: np.ndarray, answered: np.ndarray,
                    why_inexact: str | None) -> dict[str, Any]:
    """How far the bundle's answers are the study's. why_inexact: what makes them differ by more than rounding."""
    found = {name: _rounded(value) for name, value in agreement(probabilities, asked, answered).items()}
    return {**found, "exact": why_inexact is None, "why": why_inexact}


def latency(store: Store, model_sha256: str, session: Any, images: Sequence[np.ndarray], again: bool = False,
            runtime: str = "onnxruntime") -> dict[str, Any]:
    """Milliseconds of one image on one thread of this machine: measured once, then from the store, so that the same
    choice gives the same bundle. runtime: the package that runs it."""
    described = hardware.describe()
    here = hardware.hardware_id(described)
    versions = hardware.versions((runtime,))
    key = keys.bundle_latency(here, sha256(canonical_json([model_sha256, versions]).encode())[:12])
    if not again and store.exists(key):
        return json.loads(store.read(key))
    times = latencies_ms(session, images)
    p50, p90 = (round(float(q), 4) for q in np.percentile(times, [50, 90]))
    found = {"p50_ms": p50, "p90_ms": p90, "mean_ms": round(float(times.mean()), 4), "passes": len(times),
             "batch_size": 1, "threads": 1, "clock": "time of the thread", "runtime": runtime,
             "runtime_version": versions[runtime], "device": "cpu", "precision": "float32",
             "hardware": described, "hardware_id": here}
    store.write(key, canonical_json(found).encode())
    return json.loads(canonical_json(found))  # in the order in which the store will give it


def _rounded(value: float) -> float:
    return round(float(value), 6)
