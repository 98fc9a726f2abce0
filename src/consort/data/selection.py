"""From an image folder to the images that are used: read, checked by class, free of copies where asked, and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consort.data import duplicates
from consort.data.decode import Examined, Progress, decode_all, examine_all
from consort.data.findings import DUPLICATE, UNREADABLE
from consort.data.image_folder import Entry, ImageFolder, same_names
from consort.data.splits import some_of, split_indices
from consort.errors import InputError, unknown_name
from consort.plurals import counted
from consort.study.data import Data


@dataclass(frozen=True)
class Part:
    """The images of a split, or of a split's folder; row for row."""

    entries: list[Entry]
    images: np.ndarray | None
    """uint8 [N, H, W, 3]; None for images that stay files."""
    examined: list[Examined]
    """Of images that stay files."""

    def at(self, rows: Sequence[int] | np.ndarray) -> "Part":
        return Part([self.entries[i] for i in rows], None if self.images is None else self.images[rows],
                    [self.examined[i] for i in rows] if self.examined else [])

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """int64 [N]."""
        number = {name: i for i, name in enumerate(classes)}
        return np.array([number[e.label] for e in self.entries], dtype=np.int64)

    def contents(self) -> list[duplicates.Image]:
        digests: list[str] = ([e.sha256 for e in self.examined] if self.images is None else
                              [duplicates.digest(image) for image in self.images])
        return [duplicates.Image(entry, digest) for entry, digest in zip(self.entries, digests, strict=True)]


def classes_of(folder: ImageFolder) -> list[str]:
    """The sorted names of the folders with images in train/; InputError where they are no classes to tell apart."""
    train = folder.train()
    folder.refuse_empty()
    classes = sorted({e.label for e in train})
    if len(classes) < 2:
        raise InputError(f"{folder.root} has one class only ({classes[0]}): a classifier needs at least 2 folders in "
                         "train/.")
    return classes


def read_parts(folder: ImageFolder, splits: Mapping[str, Sequence[Entry]], size: int | None, streamed: bool, data: Data,
               progress: Progress) -> dict[str, Part]:
    """The readable images of each split's folder; InputError naming the first that is not, unless they are skipped."""
    entries = [entry for of_split in splits.values() for entry in of_split]
    paths = [entry.path for entry in entries]
    images: np.ndarray | None = None
    examined: list[Examined] = []
    if streamed:
        examined, kept = examine_all(folder, paths, data.skip_unreadable, progress)
    else:
        images, kept = decode_all(folder, paths, size, data.skip_unreadable, progress)
    split_of = np.repeat(list(splits), [len(of_split) for of_split in splits.values()])
    for i in sorted(set(range(len(entries))) - set(kept.tolist())):
        folder.findings.drop(folder_of(folder, split_of[i]), entries[i].label, UNREADABLE, entries[i].path)
    whole = Part([entries[i] for i in kept], images, examined)
    parts = {split: whole.at(np.flatnonzero(split_of[kept] == split)) for split in splits}
    for split, part in parts.items():
        if not part.entries:
            raise InputError(f"{folder.root} has no readable image in {folder_of(folder, split)}/.")
    folder.refuse_empty()
    return parts


def read_splits(folder: ImageFolder, classes: list[str], size: int | None, streamed: bool, data: Data,
                progress: Progress) -> dict[str, Part]:
    """train, val and test."""
    splits = {"train": folder.train(), "val": known(folder, "val", folder.val(), classes),
              "test": known(folder, "test", folder.test(), classes)}
    parts = read_parts(folder, {split: entries for split, entries in splits.items() if entries}, size, streamed, data,
                       progress)
    if data.duplicates == "drop":
        parts = _without_copies(folder, parts)
    parts = _split(folder, parts, classes, data)
    _say_what_is_missing(folder, parts, classes)
    duplicates.tell({split: part.contents() for split, part in parts.items()}, folder.findings,
                    data.duplicates == "stop")
    return parts


def known(folder: ImageFolder, split: str, entries: list[Entry], classes: Sequence[str]) -> list[Entry]:
    """The entries with their classes as those of the training images are written; InputError for others."""
    entries = same_names(entries, classes)
    if unknown := sorted({e.label for e in entries} - set(classes)):
        raise InputError(f"{folder.root}: {folder_of(folder, split)}/ has classes that train/ lacks: "
                         f"{', '.join(unknown[:5])}. {unknown_name('class', unknown[0], classes)}")
    return entries


def folder_of(folder: ImageFolder, split: str) -> str:
    return folder.test_name() if split == "test" else folder.name_of(split)


def _split(folder: ImageFolder, parts: dict[str, Part], classes: list[str], data: Data) -> dict[str, Part]:
    """The validation images come from their own folder, or are taken out of the training images."""
    labels = parts["train"].labels(classes)
    if "val" not in parts:
        train, val = split_indices(labels, data)
        return {"train": parts["train"].at(train), "val": parts["train"].at(val), "test": parts["test"]}
    name = folder.name_of("val")
    folder.findings.notes.append(f"{name}/ is the validation set; none is taken out of {folder.name_of('train')}/.")
    train = some_of(labels, data.train_images, "train_images", folder.name_of("train"), data.split_seed)
    val = some_of(parts["val"].labels(classes), data.val_images, "val_images", name, data.split_seed)
    return {"train": parts["train"].at(train), "val": parts["val"].at(val), "test": parts["test"]}


def _without_copies(folder: ImageFolder, parts: dict[str, Part]) -> dict[str, Part]:
    """One of each content; what is tested on stays in preference to what is trained on."""
    order = [split for split in ("test", "val", "train") if split in parts]
    kept = duplicates.first_of_each({split: parts[split].contents() for split in order})
    for split in order:
        for i in sorted(set(range(len(parts[split].entries))) - set(kept[split])):
            entry = parts[split].entries[i]
            folder.findings.drop(folder_of(folder, split), entry.label, DUPLICATE, entry.path)
    folder.refuse_empty()
    return {split: part.at(kept[split]) for split, part in parts.items()}


def _say_what_is_missing(folder: ImageFolder, parts: Mapping[str, Part], classes: Sequence[str]) -> None:
    findings = folder.findings
    for split in ("train", "test"):
        if missing := sorted(set(classes) - {e.label for e in parts[split].entries}):
            of_all = f"{len(missing):,} of {counted(len(classes), 'class')}"
            text = f"no image in {split} of {of_all}: {', '.join(missing[:5])}"
            findings.warnings.append(f"{text}{', ...' if len(missing) > 5 else ''}.")
    for name, of_split in findings.counts.items():
        if bare := [label for label, of_class in of_split.items() if label and not of_class]:
            findings.notes.append(f"folders without files in {name}/ are no classes: {', '.join(bare[:5])}"
                                  f"{', ...' if len(bare) > 5 else ''}.")
