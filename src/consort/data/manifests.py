"""Writing prepared data: the files first, and the manifest that describes them, which the caller writes last."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from consort.data.findings import UNREADABLE
from consort.data.prepared import DataManifest
from consort.data.selection import Part
from consort.errors import InputError
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
    return _with_files(store, files, name=name, layout="arrays", classes=classes,
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
    return _with_files(store, files, name=name, layout="files", classes=classes,
                       counts={split: len(part.entries) for split, part in parts.items()}, image_size=None, mean=mean,
                       std=std, content=content.hexdigest(), root=str(root.resolve()), unreadable=_unreadable(found),
                       found=found)


def _unreadable(found: Mapping[str, Any]) -> int:
    return sum(of_class.get(UNREADABLE, 0) for of_split in found.get("counts", {}).values()
               for of_class in of_split.values())


def _with_files(store: Store, files: dict[str, Any], **values: Any) -> DataManifest:
    """Write the files by way of the temporary folder, as their names are known by their content only."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="consort-data-")
    except OSError as e:
        raise InputError(f"there is no folder for temporary files ({e.strerror}). Set TMPDIR to a folder that you may "
                         "write to.") from e
    with temporary as folder:
        written: dict[str, dict] = {}
        for name, value in files.items():
            path = Path(folder) / name
            try:
                _write(path, value)
                with open(path, "rb") as file:
                    written[name] = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                                     "bytes": path.stat().st_size}
            except OSError as e:
                raise explain(e, f"the folder for temporary files {Path(folder).parent}", f"preparing {name}",
                              "Set TMPDIR to a folder with room.") from e
        manifest = DataManifest(files=written, **values)
        for name in files:
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
