"""Prepared data: what `data/<fingerprint>/` in the store holds, and reading it back verified. No torch here.

    manifest.json                written last
    <split>-labels.npy           int64 [N]
    <split>-images.npy           uint8 [N, H, W, 3], layout "arrays": small images, decoded once
    <split>-files.json           paths below the image folder, layout "files": large images, decoded while training
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from consort.data.findings import lines
from consort.documents import FileRecord, canonical_json, from_json, sha256
from consort.errors import IntegrityError, MissingKey
from consort.store import Store, keys


@dataclass(frozen=True)
class DataManifest:
    """data/<fingerprint>/manifest.json."""

    name: str
    layout: str
    """arrays or files."""
    classes: list[str]
    counts: dict[str, int]
    """Split -> number of images; a further test set has only "test"."""
    image_size: list[int] | None
    """[height, width] of arrays; None where files differ."""
    mean: list[float]
    std: list[float]
    """Per channel, of the training images scaled to 0..1."""
    files: dict[str, dict]
    """File name -> {sha256, bytes}."""
    content: str = ""
    """Layout "files": sha256 over the paths and contents of all images."""
    root: str = ""
    """Layout "files": where the images stood when this was prepared."""
    unreadable: int = 0
    """Images left out because they could not be read (under skip_unreadable)."""
    found: dict = field(default_factory=dict)
    """What was found in a folder or zip and why some is not used (`Findings`); nothing is known of older data."""

    @property
    def fingerprint(self) -> str:
        """A hash of the content: names and places do not count."""
        identity = {"layout": self.layout, "classes": self.classes, "content": self.content,
                    "files": {name: entry["sha256"] for name, entry in self.files.items()}}
        return sha256(canonical_json(identity).encode())[:12]


@dataclass(frozen=True)
class Prepared:
    """Prepared data that was opened from a store; files are fetched and verified on first use."""

    store: Store
    fingerprint: str
    manifest: DataManifest
    cache: Path
    root: Path | None = field(default=None)
    """Layout "files": the image folder or zip, where it is not where the manifest says."""

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def classes(self) -> list[str]:
        return self.manifest.classes

    @property
    def counts(self) -> dict[str, int]:
        return self.manifest.counts

    @cached_property
    def image_root(self) -> Path:
        return self.root or Path(self.manifest.root)

    def labels(self, split: str) -> np.ndarray:
        """int64 [N], in the data's fixed order."""
        return np.load(self._file(f"{split}-labels.npy"), allow_pickle=False)

    def images(self, split: str) -> np.ndarray:
        """uint8 [N, H, W, 3], mapped from the file (private: a write would not reach it); layout "arrays" only."""
        return np.load(self._file(f"{split}-images.npy"), mmap_mode="c", allow_pickle=False)

    def paths(self, split: str) -> list[str]:
        """Paths below `image_root`; layout "files" only."""
        return json.loads(self._file(f"{split}-files.json").read_text())

    def _file(self, name: str) -> Path:
        expected = FileRecord(**self.manifest.files[name])
        path = self.store.get_file(keys.data_file(self.fingerprint, name), self.cache)
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected.sha256:
            raise IntegrityError(f"{keys.data_file(self.fingerprint, name)} is not what its manifest says (sha256 "
                                 f"{actual[:12]}, expected {expected.sha256[:12]}). Remove data/{self.fingerprint} "
                                 "from the store and prepare the data again (`consort data import`).")
        return path


def told(data: Mapping[str, Prepared]) -> dict[str, str]:
    """By name, what was found in folders and zips, as text of several lines; nothing for other data."""
    texts = {name: "\n".join(lines(prepared.manifest.found)) for name, prepared in data.items()}
    return {name: text for name, text in texts.items() if text}


def open_prepared(store: Store, fingerprint: str, cache: Path, root: Path | None = None) -> Prepared:
    """Open prepared data; raises MissingKey where it was not prepared in this store."""
    key = keys.data_manifest(fingerprint)
    try:
        raw = store.read(key)
    except MissingKey as e:
        raise MissingKey(f"the store {store.uri} has no prepared data {fingerprint}. `consort plan STUDY` or "
                         "`consort data import` prepares it.") from e
    manifest = from_json(DataManifest, raw, key)
    if manifest.fingerprint != fingerprint:
        raise IntegrityError(f"{key} describes data {manifest.fingerprint}: it was altered. Remove it and prepare the "
                             "data again.")
    return Prepared(store, fingerprint, manifest, cache, root)
