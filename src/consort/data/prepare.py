"""Preparing data: from a source to `data/<fingerprint>/` in the store, once."""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from consort.data.builtin import BUILTIN, CIFAR, RawImages, cifar, digits
from consort.data.decode import Progress, decode_all, typical_side
from consort.data.image_folder import Entry, ImageFolder
from consort.data.prepared import DataManifest, Prepared, open_prepared
from consort.documents import canonical_json, sha256, to_json
from consort.errors import InputError, MissingKey
from consort.store import Store, keys
from consort.study.data import Data

STREAM_FROM = 224
"""Images of this side or larger are decoded while training instead of kept as arrays."""
STORED = "store:"
"""Before a fingerprint, a source that is prepared data of the store."""
FORMAT = 1
"""Part of every source's key: raise it when preparing gives other arrays."""


def prepare(store: Store, data: Data, base: Path, cache: Path, progress: Progress = lambda done, total: None
            ) -> Prepared:
    """The study's data, prepared in the store unless it is there already; `base` is where relative paths start."""
    if data.source.startswith(STORED):
        return _stored(store, data, cache)
    return _once(store, data, data.source, base, cache, lambda source: _prepare_all(store, data, source, cache,
                                                                                   progress))


def _stored(store: Store, data: Data, cache: Path) -> Prepared:
    """Data that was prepared before: its split and its size are what they are."""
    changing = sorted(data.model_dump(exclude_defaults=True).keys()
                      & {"train_images", "val_images", "split_seed", "image_size"})
    if changing:
        raise InputError(f"[data] source {data.source} is prepared already, so {', '.join(changing)} cannot be set: "
                         "leave them out, or give them to `consort data import`.")
    prepared = _open_stored(store, data.source, cache)
    if not {"train", "val", "test"} <= prepared.counts.keys():
        raise InputError(f"[data] source {data.source} is a further test set ({prepared.name}): a study needs train, "
                         "val and test. `consort data info` lists what is prepared.")
    return prepared


def _open_stored(store: Store, source: str, cache: Path) -> Prepared:
    fingerprint = source.removeprefix(STORED)
    if not re.fullmatch(r"[0-9a-f]{12}", fingerprint):
        raise InputError(f"a source in the store is {STORED}<fingerprint>, 12 hexadecimal digits as `consort data "
                         f"info` lists them, got {source!r}.")
    return open_prepared(store, fingerprint, cache)


def prepare_test_set(store: Store, name: str, source: str, like: Prepared, data: Data, base: Path, cache: Path,
                     progress: Progress = lambda done, total: None) -> Prepared:
    """A further test set with the classes and image size of `like`."""
    def build(folder: Any) -> DataManifest:
        entries = folder.test()
        unknown = sorted({e.label for e in entries} - set(like.classes))
        if unknown:
            raise InputError(f"test set {name} has classes that the training data lacks: {', '.join(unknown[:5])}.")
        if like.manifest.layout == "files":
            return _files_manifest(store, name, folder, like.classes, {"test": entries}, like.manifest.mean,
                                   like.manifest.std)
        assert like.manifest.image_size is not None
        height, width = like.manifest.image_size
        size = height if height == width else None
        images, kept = decode_all(folder, [e.path for e in entries], size, data.skip_unreadable, progress)
        if images.shape[1:3] != (height, width):
            raise InputError(f"test set {name} has images of {images.shape[1]}x{images.shape[2]} pixels, the training "
                             f"data of {height}x{width}. Set image_size in [data] to bring all images to one size.")
        labels = _labels([entries[i] for i in kept], like.classes)
        return _arrays_manifest(store, name, like.classes, {"test": (images, labels)}, like.manifest.mean,
                                like.manifest.std, len(entries) - len(kept))

    if source.startswith(STORED):
        prepared = _open_stored(store, source, cache)
        if prepared.classes != like.classes or "test" not in prepared.counts:
            raise InputError(f"test set {name}: {source} was not prepared as a test set for these training data. Give "
                             "its folder or zip instead.")
        return prepared
    if source in BUILTIN:
        raise InputError(f"test set {name}: source must be an image folder or zip with test/<class>/*, got {source!r}.")
    extra = {"like": like.fingerprint, "test_set": name}
    return _once(store, data, source, base, cache, build, extra)


def _once(store: Store, data: Data, source: str, base: Path, cache: Path, build: Any,
          extra: Mapping[str, Any] | None = None) -> Prepared:
    """Prepare unless the store remembers which prepared data this very source became."""
    settings = data.model_dump(mode="json", exclude={"source", "also"})
    folder = None if source in BUILTIN else ImageFolder(base / Path(source).expanduser())
    stamp = [source, version("scikit-learn")] if folder is None else folder.stamp()
    index = keys.source_index(sha256(canonical_json([FORMAT, stamp, settings, dict(extra or {})]).encode())[:16])
    try:
        fingerprint = json.loads(store.read(index))["fingerprint"]
        return open_prepared(store, fingerprint, cache)
    except (MissingKey, ValueError, KeyError, TypeError):  # nowhere yet, or a damaged note of where
        pass
    manifest = build(folder if folder is not None else source)
    store.write(keys.data_manifest(manifest.fingerprint), to_json(manifest))
    store.write(index, canonical_json({"fingerprint": manifest.fingerprint, "source": source}).encode())
    return open_prepared(store, manifest.fingerprint, cache)


def _prepare_all(store: Store, data: Data, source: Any, cache: Path, progress: Progress) -> DataManifest:
    if source in BUILTIN and data.image_size is not None:
        raise InputError(f"image_size is for image folders and zips; {source} has a size of its own. Leave it out.")
    if source == "digits":
        return _from_raw(store, data, "digits", digits(), 0)
    if source in CIFAR:
        return _from_raw(store, data, source, cifar(source, cache / "downloads", progress), 0)
    return _from_folder(store, data, source, progress)


def _from_raw(store: Store, data: Data, name: str, raw: RawImages, unreadable: int) -> DataManifest:
    """Split raw arrays and store them."""
    train, val = split_indices(raw.train_labels, data)
    mean, std = channel_statistics(raw.train_images[train])
    splits = {"train": (raw.train_images[train], raw.train_labels[train]),
              "val": (raw.train_images[val], raw.train_labels[val]),
              "test": (raw.test_images, raw.test_labels)}
    return _arrays_manifest(store, name, raw.classes, splits, mean, std, unreadable)


def _from_folder(store: Store, data: Data, folder: ImageFolder, progress: Progress) -> DataManifest:
    train, test = folder.train(), folder.test()
    classes = sorted({e.label for e in train})
    if len(classes) < 2:
        raise InputError(f"{folder.root} has one class only ({classes[0]}): a classifier needs at least 2 folders in "
                         "train/.")
    unknown = sorted({e.label for e in test} - set(classes))
    if unknown:
        raise InputError(f"{folder.root}: test/ has classes that train/ lacks: {', '.join(unknown[:5])}.")
    size = data.image_size
    if (size or typical_side(folder, [e.path for e in train])) >= STREAM_FROM:
        return _from_streamed(store, data, folder, classes, train, test)
    entries = train + test
    paths = [e.path for e in entries]
    images, kept = decode_all(folder, paths, size, data.skip_unreadable, progress)
    labels = _labels([entries[i] for i in kept], classes)
    in_train = kept < len(train)
    for split, count in (("train", in_train.sum()), ("test", (~in_train).sum())):
        if not count:
            raise InputError(f"{folder.root} has no readable image in {split}/.")
    raw = RawImages(classes, images[in_train], labels[in_train], images[~in_train], labels[~in_train])
    return _from_raw(store, data, folder.root.name, raw, len(paths) - len(kept))


def _from_streamed(store: Store, data: Data, folder: ImageFolder, classes: list[str], train: list[Entry],
                   test: list[Entry]) -> DataManifest:
    """Large images stay where they are; the mean and deviation are ImageNet's, as their networks expect."""
    train_index, val_index = split_indices(_labels(train, classes), data)
    splits = {"train": [train[i] for i in train_index], "val": [train[i] for i in val_index], "test": test}
    return _files_manifest(store, folder.root.name, folder, classes, splits, [0.485, 0.456, 0.406],
                           [0.229, 0.224, 0.225])


def split_indices(labels: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and the validation images, both sorted, stratified by class, fixed by `split_seed`.

    Raises InputError where the images do not suffice.
    """
    n = len(labels)
    num_val = data.val_images if data.val_images is not None else max(1, n // 10)
    num_train = data.train_images if data.train_images is not None else n - num_val
    if num_train < 1 or num_val + num_train > n:
        raise InputError(f"train_images + val_images must not exceed the {n} images in train/, got {num_train} + "
                         f"{num_val}.")
    random = np.random.default_rng(data.split_seed)
    order = random.permutation(n)
    position = np.empty(n)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        position[of_class] = (np.arange(len(of_class)) + random.random()) / len(of_class)
    by_position = np.argsort(position, kind="stable")
    return np.sort(by_position[num_val:num_val + num_train]), np.sort(by_position[:num_val])


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of uint8 [N, H, W, 3], scaled to 0..1, from exact integer sums."""
    count = images[..., 0].size
    histogram = [np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])]
    levels = np.arange(256) / 255
    means = [float(h @ levels) / count for h in histogram]
    stds = [max(float(np.sqrt(h @ (levels - m) ** 2 / count)), 1e-3) for h, m in zip(histogram, means, strict=True)]
    return means, stds


def _labels(entries: list[Entry], classes: list[str]) -> np.ndarray:
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[e.label] for e in entries], dtype=np.int64)


def _arrays_manifest(store: Store, name: str, classes: list[str], splits: dict[str, tuple[np.ndarray, np.ndarray]],
                     mean: list[float], std: list[float], unreadable: int) -> DataManifest:
    files = {}
    for split, (images, labels) in splits.items():
        files[f"{split}-images.npy"] = images
        files[f"{split}-labels.npy"] = labels
    some = next(iter(splits.values()))[0]
    return _with_files(store, files, name=name, layout="arrays", classes=classes,
                       counts={split: len(labels) for split, (_, labels) in splits.items()},
                       image_size=list(some.shape[1:3]), mean=mean, std=std, unreadable=unreadable)


def _files_manifest(store: Store, name: str, folder: ImageFolder, classes: list[str], splits: dict[str, list[Entry]],
                    mean: list[float], std: list[float]) -> DataManifest:
    content = hashlib.sha256()
    files: dict[str, Any] = {}
    for split, entries in splits.items():
        for entry in entries:
            content.update(f"{entry.path}\0{sha256(folder.read(entry.path))}\n".encode())
        files[f"{split}-files.json"] = [e.path for e in entries]
        files[f"{split}-labels.npy"] = _labels(entries, classes)
    return _with_files(store, files, name=name, layout="files", classes=classes,
                       counts={split: len(entries) for split, entries in splits.items()}, image_size=None, mean=mean,
                       std=std, content=content.hexdigest(), root=str(folder.root.resolve()))


def _with_files(store: Store, files: dict[str, Any], **values: Any) -> DataManifest:
    """Write the files and return the manifest; the caller writes the manifest last."""
    with tempfile.TemporaryDirectory(prefix="consort-data-") as temporary:
        written: dict[str, dict] = {}
        for name, value in files.items():
            path = Path(temporary) / name
            if name.endswith(".npy"):
                np.save(path, value, allow_pickle=False)
            else:
                path.write_text(json.dumps(value))
            with open(path, "rb") as file:
                written[name] = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                                 "bytes": path.stat().st_size}
        manifest = DataManifest(files=written, **values)
        for name in files:
            store.put_file(keys.data_file(manifest.fingerprint, name), Path(temporary) / name)
        return manifest
