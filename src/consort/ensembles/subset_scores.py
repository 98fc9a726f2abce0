"""Accuracy and NLL of very many ensembles at once, from log-probabilities.

What makes it fast:
- Scores are taken relative to the true class, r = p(class) / p(true), so an ensemble is wrong iff some r >= 1, and its
  geometric mean needs no exponential of its own: with q = r^(1/size) per member, r of the ensemble is a product of q,
  and its NLL is log(1 + sum of r).
- Subsets are walked as a tree of prefixes, so each costs one multiplication (or addition) per class and image, and
  the last member is vectorised: one call scores all subsets that share a prefix.
- A class that no member puts at or above the true one cannot win under either mean. Each image has its other classes
  ordered by how high any member puts them, images are sorted by how many can win, and a block of images looks for
  mistakes among that many classes only.
- Blocks of images fit the second-level cache, [members, classes, images], and threads share them (numpy releases
  Python's lock).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from consort import hardware
from consort.ensembles.composition import CERTAIN, Subset, log_softmax, slack
from consort.ensembles.metrics import TIE, highest

BLOCK_BYTES = 2**20
"""Of one block's scores in float32: half of the second-level cache of a server core, or less."""

MOST_IMAGES = 255 * 8
"""Per block: mistakes are counted in eight bytes at once, each of which holds up to 255."""

SINGLE_RANGE = 75.0
"""Log-ratios up to this size are scored in float32: exp(75) x 1000 classes is in its range, and so is exp(-75) / 1000.
Images with a larger one are scored in float64."""

DOUBLE_RANGE = 700.0
"""The same for float64; larger log-ratios count as this."""

@dataclass(frozen=True)
class SubsetScores:
    accuracy: np.ndarray
    """float64 [subsets], 0..1."""
    nll: np.ndarray
    """float64 [subsets], nats per image."""
    correct: np.ndarray | None
    """int32 [groups, images]: how many of the group's subsets are right about the image; None without groups."""


@dataclass(frozen=True)
class _Run:
    """Subsets that share all members but the last, and the group; neighbours in the sorted order."""

    prefix: Subset
    lasts: slice | np.ndarray
    first: int
    stop: int
    group: int


@dataclass(frozen=True)
class _Block:
    """Images that are scored together."""

    images: np.ndarray
    contended: int
    """How many of the other classes, which come first, can win an image of this block."""
    dtype: type


@dataclass(frozen=True)
class _Pool:
    log_probs: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    """[images, classes - 1]: the classes other than the true one, those that can win first."""


def score_subsets(log_probs: np.ndarray, labels: np.ndarray, subsets: Sequence[Subset], combine: str, *,
                  groups: Sequence[int] | None = None, threads: int | None = None) -> SubsetScores:
    """Score the ensembles of these members, combined by `geometric` or `arithmetic` mean (see ensembles.combine).

    log_probs: normalised, [members, images, classes], float32. labels: [images]. subsets: rising member numbers, each
    subset once. groups: for each subset the number of the group whose correct predictions are counted together per
    image. threads: by default one per core that this process may use.

    An ensemble is correct on an image iff the true class scores above every other by more than rounding: a tie decides
    nothing, as in metrics.correct(combine(...)). Log-ratios beyond +-700, which no trained network gives, count as 700.
    """
    if combine not in ("geometric", "arithmetic"):
        raise ValueError(f"combine is geometric or arithmetic, got {combine!r}")
    place, runs = _runs(subsets, groups)
    pool, blocks = _blocks(log_probs, labels, combine)
    num_groups = max(groups) + 1 if groups is not None and len(groups) else 0
    wrong = np.zeros((num_groups, len(labels)), dtype=np.int32)
    mistakes = np.zeros(len(subsets), dtype=np.int64)
    loss = np.zeros(len(subsets))
    with ThreadPoolExecutor(threads or hardware.cores()) as executor:
        for block_mistakes, block_loss in executor.map(
                lambda block: _score_block(pool, block, runs, len(subsets), combine, wrong), blocks):
            mistakes += block_mistakes
            loss += block_loss
    num_images = len(labels)
    correct = None
    if groups is not None:
        correct = np.bincount(groups, minlength=num_groups).astype(np.int32)[:, None] - wrong
    return SubsetScores((num_images - mistakes[place]) / num_images, loss[place] / num_images, correct)


def _runs(subsets: Sequence[Subset], groups: Sequence[int] | None) -> tuple[np.ndarray, list[_Run]]:
    """Subsets sorted so that prefixes repeat: each subset's place in that order, and its runs."""
    groups = groups if groups is not None else [0] * len(subsets)
    order = sorted(range(len(subsets)), key=lambda i: (len(subsets[i]), subsets[i]))
    place = np.empty(len(subsets), dtype=np.int64)
    place[order] = np.arange(len(subsets))
    runs, first = [], 0
    for (prefix, group), same in groupby(order, key=lambda i: (subsets[i][:-1], groups[i])):
        lasts = [subsets[i][-1] for i in same]
        neighbours = lasts[-1] - lasts[0] == len(lasts) - 1
        members = slice(lasts[0], lasts[-1] + 1) if neighbours else np.array(lasts)
        runs.append(_Run(prefix, members, first, first + len(lasts), group))
        first += len(lasts)
    return place, runs


def _blocks(log_probs: np.ndarray, labels: np.ndarray, combine: str) -> tuple[_Pool, list[_Block]]:
    """Order classes and images by what can win, and cut the images into blocks, the most work first."""
    num_members, num_images, num_classes = log_probs.shape
    images = np.arange(num_images)
    highest_ratio = np.full((num_images, num_classes), -np.inf, dtype=log_probs.dtype)
    largest = np.zeros(num_images, dtype=log_probs.dtype)
    sure, denied = np.zeros(num_images, dtype=bool), np.zeros(num_images, dtype=bool)
    for member in log_probs:
        sure |= member[images, labels] > np.log(CERTAIN)
        denied |= (member[images, labels] < np.log(1 - CERTAIN)) & (highest(member) > np.log(CERTAIN))
        ratio = member - member[images, labels][:, None]
        np.maximum(highest_ratio, ratio, out=highest_ratio)
        np.maximum(largest, highest(np.abs(ratio)), out=largest)
    highest_ratio[images, labels] = -np.inf
    order = np.argsort(-highest_ratio, axis=1)[:, :-1]
    contended = (highest_ratio >= -TIE).sum(axis=1)
    # One is certain of the true class, another of a different one: what is left decides, which float32 cannot hold.
    wide = (largest > SINGLE_RANGE) | (sure & denied if combine == "arithmetic" else False)
    size = int(np.clip(BLOCK_BYTES // (4 * num_members * num_classes), 64, MOST_IMAGES))
    blocks = []
    for dtype, some in ((np.float64, wide), (np.float32, ~wide)):
        chosen = np.flatnonzero(some)
        chosen = chosen[np.argsort(-contended[chosen], kind="stable")]
        blocks += [_Block(part, int(contended[part].max()), dtype)
                   for part in (chosen[i:i + size] for i in range(0, len(chosen), size))]
    return _Pool(log_probs, labels, order), blocks


def _score_block(pool: _Pool, block: _Block, runs: list[_Run], num_subsets: int, combine: str,
                 wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mistakes (int64) and summed NLL (float64) of every subset on the block's images; adds to `wrong`, in whose
    columns no other block writes."""
    walk = _Walk(pool, block, num_subsets, combine)
    counts = np.zeros((len(wrong), len(block.images)), dtype=np.int32)
    for run in runs:
        missed = walk.score(run)
        if len(wrong) and missed is not None:
            counts[run.group] += np.add.reduce(missed, axis=0, dtype=np.int32)
    if len(wrong):
        wrong[:, block.images] = counts
    return walk.mistakes(), walk.total_loss()


class _Walk:
    """Scores runs in order on one block of images, and keeps the joined terms of the current prefix."""

    def __init__(self, pool: _Pool, block: _Block, num_subsets: int, combine: str) -> None:
        self.geometric = combine == "geometric"
        self.contended = block.contended
        self.num_images = len(block.images)
        self.log_ratios, self.log_true = _relative(pool, block)
        self.size = 0
        self.prefix: Subset = ()
        self.joined: list[np.ndarray] = []
        self.loss: np.ndarray = np.zeros(num_subsets, dtype=block.dtype)
        self.missed_bytes = np.zeros(num_subsets, dtype=np.uint64)
        members, _, images = self.log_ratios.shape
        self.rivals: np.ndarray = np.empty((members, self.contended, images), block.dtype)
        self.per_image: np.ndarray = np.empty((members, images), block.dtype)
        # Padded to whole 8-byte words with False.
        self.missed = np.zeros((members, -(-images // 8) * 8), dtype=bool)

    def score(self, run: _Run) -> np.ndarray | None:
        """Fill in the run's loss and mistakes. Returns mistakes [subsets of the run, images], until the next call;
        None where none can happen."""
        if len(run.prefix) + 1 != self.size:
            self._begin_size(len(run.prefix) + 1)
        self._go_to(run.prefix)
        last = self.terms[run.lasts]
        self._add_loss(last, run)
        return self._find_mistakes(last, run) if self.contended else None

    def _add_loss(self, last: np.ndarray, run: _Run) -> None:
        """The NLL is log(1 + sum of r) for the geometric mean, and -log p(true) for the arithmetic one."""
        per_image = self.per_image[:run.stop - run.first]
        if self.geometric:
            if self.joined:
                np.einsum("ci,mci->mi", self.joined[-1], last, out=per_image)
            else:
                np.add.reduce(last, axis=1, out=per_image)
            np.add(per_image, self.one, out=per_image)
        else:
            np.add(last[:, -1], self.joined[-1][-1] if self.joined else 0, out=per_image)
        np.log(per_image, out=per_image)
        np.add.reduce(per_image, axis=1, out=self.loss[run.first:run.stop])

    def _find_mistakes(self, last: np.ndarray, run: _Run) -> np.ndarray:
        num = run.stop - run.first
        rivals = last[:, :self.contended]
        if self.joined:
            rivals = self._join(rivals, self.joined[-1][:self.contended], out=self.rivals[:num])
        best = np.maximum.reduce(rivals, axis=1, out=self.per_image[:num]) if self.contended > 1 else rivals[:, 0]
        missed = self.missed[:num]
        np.greater_equal(best, self.threshold, out=missed[:, :self.num_images])
        np.add.reduce(missed.view(np.uint64), axis=1, out=self.missed_bytes[run.first:run.stop])
        return missed[:, :self.num_images]

    def mistakes(self) -> np.ndarray:
        """Mistakes of every subset: the sum of the eight bytes that counted them."""
        return self.missed_bytes.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)

    def total_loss(self) -> np.ndarray:
        """The summed NLL of every subset."""
        loss = self.loss.astype(np.float64)
        return loss if self.geometric else -loss

    def _begin_size(self, size: int) -> None:
        """Members' terms for ensembles of this size: factors q = r^(1/size), or summands of p / size."""
        self.size, self.prefix, self.joined = size, (), []
        dtype = self.log_ratios.dtype.type
        self.one = dtype(1)
        self.threshold = dtype(1 - TIE if self.geometric else 0)
        self._join = np.multiply if self.geometric else np.add
        self.terms = np.exp(self.log_ratios / dtype(size)) if self.geometric else self._summands(dtype(size))

    def _summands(self, size: np.floating) -> np.ndarray:
        """p(rival) - p(true) of the classes that can win, with the lead that is no lead added, then p(true)."""
        true = np.exp(self.log_true)[:, None]
        rivals = np.exp(self.log_ratios[:, :self.contended] + self.log_true[:, None])
        tie = slack(true) if self.log_true.dtype == np.float64 else true.dtype.type(TIE) * true
        return np.concatenate([rivals - true + tie, true], axis=1) / size

    def _go_to(self, prefix: Subset) -> None:
        """Join the terms of the prefix, keeping what it shares with the one before."""
        shared = 0
        while shared < min(len(prefix), len(self.prefix)) and prefix[shared] == self.prefix[shared]:
            shared += 1
        del self.joined[shared:]
        for member in prefix[shared:]:
            term = self.terms[member]
            self.joined.append(self._join(self.joined[-1], term) if self.joined else term)
        self.prefix = prefix


def _relative(pool: _Pool, block: _Block) -> tuple[np.ndarray, np.ndarray]:
    """log p(class) - log p(true) of the other classes [members, classes - 1, images], and log p(true) [members,
    images], in the block's type and range."""
    scores: np.ndarray = pool.log_probs[:, block.images].astype(block.dtype)
    if block.dtype is np.float64:
        scores = log_softmax(scores)  # what float32 lost of the sum of probabilities
    true = scores[:, np.arange(len(block.images)), pool.labels[block.images]]
    others = np.take_along_axis(scores, pool.order[block.images][None], axis=2) - true[:, :, None]
    ratios = np.clip(others, -DOUBLE_RANGE, DOUBLE_RANGE)
    return np.ascontiguousarray(ratios.transpose(0, 2, 1)), np.maximum(true, -DOUBLE_RANGE)
