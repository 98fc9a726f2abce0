"""Images that come more than once: within a split they weigh double, between splits they are tested on what was learnt.

Small images are the same where their decoded pixels are; images that stay files where their bytes are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from consort.data.findings import EXAMPLES, Findings, printable
from consort.data.image_folder import Entry
from consort.errors import InputError
from consort.plurals import are, counted, have


@dataclass(frozen=True)
class Image:
    """An image of a split, with a hash of its content."""

    entry: Entry
    digest: str


def digest(pixels: np.ndarray) -> str:
    """Of an image that is kept as an array."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()


def first_of_each(splits: Mapping[str, Sequence[Image]]) -> dict[str, list[int]]:
    """The indices that stay when every content is kept once; splits in the order in which they may keep theirs."""
    seen: set[str] = set()
    kept: dict[str, list[int]] = {}
    for split, images in splits.items():
        kept[split] = []
        for index, image in enumerate(images):
            if image.digest not in seen:
                seen.add(image.digest)
                kept[split].append(index)
    return kept


def tell(splits: Mapping[str, Sequence[Image]], findings: Findings, stop: bool) -> None:
    """Count what comes more than once; with `stop`, InputError where it is in two splits or of two classes."""
    first: dict[str, dict[str, Entry]] = {}
    for split, images in splits.items():
        first[split] = {}
        pairs = [(first[split][i.digest], i.entry) for i in images
                 if first[split].setdefault(i.digest, i.entry) is not i.entry]
        if pairs:
            findings.notes.append(f"{len(pairs):,} of {counted(len(images), 'image')} in {split} "
                                  f"{'is a copy of another' if len(pairs) == 1 else 'are copies of others'} there: "
                                  f"{_shown(pairs)}.")
    warnings = []
    for one, other in combinations(splits, 2):
        pairs = [(entry, first[one][digest]) for digest, entry in first[other].items() if digest in first[one]]
        if pairs:
            number = counted(len(pairs), "image")
            warnings.append(f"{number} of {other} {are(len(pairs))} also in {one}: {_shown(pairs)}")
    if conflicts := _of_two_classes(splits):
        warnings.append(f"{counted(len(conflicts), 'image')} {have(len(conflicts))} two classes: "
                        f"{_shown(conflicts)}")
    if warnings and stop:
        raise InputError(f"the same images come more than once, and [data] duplicates is \"stop\": "
                         f"{'; '.join(warnings)}. Remove them, or set duplicates = \"drop\" to keep one of each.")
    findings.warnings += [f'{text}. [data] duplicates = "drop" keeps one of each, "stop" refuses such data.'
                          for text in warnings]


def tell_of_known(images: Sequence[Image], known: Mapping[str, np.ndarray], findings: Findings, stop: bool) -> None:
    """Warn of images of a further test set that are in splits of the training data; with `stop`, InputError.

    known: split -> `short` digests of its images, uint64 [N].
    """
    digests = np.array([short(image.digest) for image in images], dtype=np.uint64)
    for split, of_split in known.items():
        copies = [images[int(i)].entry for i in np.flatnonzero(np.isin(digests, of_split))]
        if not copies:
            continue
        named = ", ".join(printable(entry.path) for entry in copies[:EXAMPLES])
        text = (f"{len(copies):,} of {counted(len(images), 'image')} {are(len(copies))} also in {split} of the "
                f"training data: {named}" + (", ..." if len(copies) > EXAMPLES else ""))
        if stop:
            raise InputError(f"{text}; and [data] duplicates is \"stop\". Remove them from this test set.")
        findings.warnings.append(f"{text}.")


def short(digest: str) -> int:
    """The first 64 bits: enough to tell images apart, little enough to keep of millions."""
    return int(digest[:16], 16)


def _of_two_classes(splits: Mapping[str, Sequence[Image]]) -> list[tuple[Entry, Entry]]:
    seen: dict[str, Entry] = {}
    conflicts: dict[str, tuple[Entry, Entry]] = {}
    for images in splits.values():
        for image in images:
            entry = seen.setdefault(image.digest, image.entry)
            if entry.label != image.entry.label:
                conflicts.setdefault(image.digest, (entry, image.entry))
    return list(conflicts.values())


def _shown(pairs: Sequence[tuple[Entry, Entry]]) -> str:
    named = [f"{printable(one.path)} = {printable(other.path)}" for one, other in pairs[:EXAMPLES]]
    return ", ".join(named) + (", ..." if len(pairs) > EXAMPLES else "")
