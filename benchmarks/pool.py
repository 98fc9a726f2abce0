"""A pool of real networks on CIFAR-10: their logits in a folder, as log-probabilities.

The folder has a file per architecture, <name>.npz with arrays val_<seed> [5000, 10] and test_<seed> [10000, 10], and
labels.npz with val [5000] and test [10000]. No network was trained on an image of either.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consort.ensembles.composition import log_softmax

MACS = {"wrn-16-1": 26.66e6, "wrn-16-2": 101.11e6, "wrn-16-4": 392.61e6, "wrn-16-8": 1548.15e6}


@dataclass(frozen=True)
class Pool:
    log_probs: np.ndarray
    """float32 [members, images, classes], the images of val and then those of test."""
    labels: np.ndarray
    architectures: list[str]
    """Of each member."""
    num_val: int

    @property
    def macs(self) -> list[float]:
        return [MACS[name] for name in self.architectures]


def read_pool(folder: Path) -> Pool:
    """Smallest networks first, seeds rising."""
    labels, members, architectures = np.load(folder / "labels.npz"), [], []
    for name in MACS:
        arrays = np.load(folder / f"{name}.npz")
        for seed in sorted(int(key.removeprefix("val_")) for key in arrays if key.startswith("val_")):
            logits = np.concatenate([arrays[f"val_{seed}"], arrays[f"test_{seed}"]])
            members.append(log_softmax(logits.astype(np.float32)))
            architectures.append(name)
    both = np.concatenate([labels["val"], labels["test"]]).astype(np.int64)
    return Pool(np.array(members), both, architectures, len(labels["val"]))
