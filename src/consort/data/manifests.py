"""Writing prepared data: the files first, and the manifest that describes them, which the caller writes last."""

import hashlib
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from consort.data import duplicates
from consort.data.findings import UNREADABLE
from consort.data.prepared import DataManifest, Prepared
from consort.data.selection import Part
from consort.errors import InputError, MissingKey
from consort.store import Store, keys
from consort.store.files import explain

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 [N, H, W, 3] and labels int64 [N] of a split."""


def images_of(part: Part) -> np.ndarray:
    assert part.images is not None
    return part.images


def arrays_of(parts: Mapping[str, Part], classes: list[str]) -> dict[str, Arrays]:
    return {split: (images_of(part), part.labels(classes)) for split, part in parts.items()}


def arrays_manifest(store: Store, name: str, classes: list[str], splits: Mapping[str, Arrays], mean: list[float],
                    std: list[float], found: dict[str, Any]) -> DataManifest:
    files = {}
    for split, (images, labels) in splits.items():
        files[f"{split}-images.npy"] = images
        files[f"{split}-labels.npy"] = labels
    some = next(iter(splits.values()))[0]
    return _with_files(store, files, {}, name=name, layout="arrays", classes=classes,
                       counts={split: len(labels) for split, (_, labels) in splits.items()},
                       image_size=list(some.shape[1:3]), mean=mean, std=std, unreadable=_unreadable(found), found=found)


def files_manifest(store: Store, name: str, root: Path, classes: list[str], parts: Mapping[str, Part],
                   mean: list[float], std: list[float], found: dict[str, Any]) -> DataManifest:
    """Large images stay where they are. An image that is not shown as it is stored counts as another in the
    fingerprint, since it was read as it is stored once."""
    content = hashlib.sha256()
    files: dict[str, Any] = {}
    for split, part in parts.items():
        for entry, image in zip(part.entries, part.examined, strict=True):
            mark = "" if image.shown_as_stored else "\0as shown"
            content.update(f"{entry.path}\0{image.sha256}{mark}\n".encode("utf-8", "surrogateescape"))
        files[f"{split}-files.json"] = [e.path for e in part.entries]
        files[f"{split}-labels.npy"] = part.labels(classes)
    beside = {contents_file(split): np.array([duplicates.short(i.sha256) for i in part.examined], dtype=np.uint64)
              for split, part in parts.items()}
    return _with_files(store, files, beside, name=name, layout="files", classes=classes,
                       counts={split: len(part.entries) for split, part in parts.items()}, image_size=None, mean=mean,
                       std=std, content=content.hexdigest(), root=str(root.resolve()), unreadable=_unreadable(found),
                       found=found)


def _unreadable(found: Mapping[str, Any]) -> int:
    return sum(of_class.get(UNREADABLE, 0) for of_split in found.get("counts", {}).values()
               for of_class in of_split.values())


def contents_file(split: str) -> str:
    """Short digests of the images of a split, by which copies of them are found elsewhere; uint64 [N].

    Of layout "files" only, and not of data prepared before copies were looked for. What can be known from the images
    is no part of the fingerprint, which is older.
    """
    return f"{split}-contents.npy"


def contents_known(data: Prepared) -> dict[str, np.ndarray]:
    """Split -> short digests of its images, for training and validation; without those that nobody kept."""
    known: dict[str, np.ndarray] = {}
    for split in ("train", "val"):
        if data.manifest.layout == "arrays":
            known[split] = np.array([duplicates.short(duplicates.digest(image)) for image in data.images(split)],
                                    dtype=np.uint64)
            continue
        try:
            raw = data.store.read(keys.data_file(data.fingerprint, contents_file(split)))
            known[split] = np.load(io.BytesIO(raw), allow_pickle=False)
        except (MissingKey, ValueError, EOFError):
            continue
    return known


def _with_files(store: Store, files: dict[str, Any], beside: dict[str, Any], **values: Any) -> DataManifest:
    """Write the files by way of the temporary folder, as their names are known by their content only.

    beside: files that are no part of what the data is.
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix="consort-data-")
    except OSError as e:
        raise InputError(f"there is no folder for temporary files ({e.strerror}). Set TMPDIR to a folder that you may "
                         "write to.") from e
    with temporary as folder:
        written: dict[str, dict] = {}
        for name, value in (files | beside).items():
            path = Path(folder) / name
            try:
                _write(path, value)
                with open(path, "rb") as file:
                    written[name] = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                                     "bytes": path.stat().st_size}
            except OSError as e:
                raise explain(e, f"the folder for temporary files {Path(folder).parent}", f"preparing {name}",
                              "Set TMPDIR to a folder with room.") from e
        manifest = DataManifest(files={name: written[name] for name in files}, **values)
        for name in written:
            store.put_file(keys.data_file(manifest.fingerprint, name), Path(folder) / name)
        return manifest


class _Plain:
    """A file for numpy to write to piece by piece: written to directly, a full disk has no error number."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def _write(path: Path, value: Any) -> None:
    with open(path, "wb") as file:
        if path.suffix == ".npy":
            np.save(_Plain(file), value, allow_pickle=False)
        else:
            file.write(json.dumps(value).encode())
