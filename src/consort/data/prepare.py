"""Preparing data: from a source to `data/<fingerprint>/` in the store, once."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from consort.data.builtin import BUILTIN, CIFAR, RawImages, cifar, digits
from consort.data.decode import Progress, SizesDiffer
from consort.data.duplicates import tell, tell_of_known
from consort.data.findings import printable
from consort.data.image_folder import ImageFolder, same_names
from consort.data.manifests import arrays_manifest, arrays_of, contents_known, files_manifest, images_of
from consort.data.prepared import DataManifest, Prepared, open_prepared
from consort.data.sample import Sample, look
from consort.data.selection import Part, classes_of, read_parts, read_splits
from consort.data.size_rule import RULE, chosen_side
from consort.data.splits import channel_statistics, split_indices
from consort.documents import canonical_json, sha256, to_json
from consort.errors import InputError, MissingKey
from consort.store import Store, keys
from consort.store.files import as_text, expanded
from consort.study.data import Data

STREAM_FROM = 224
"""Images of this side or larger are decoded while training instead of kept as arrays."""
STORED = "store:"
"""Before a fingerprint, a source that is prepared data of the store."""
BUILTIN_FORMAT = 1
FORMAT = 2
"""Part of every source's key: raise it when preparing gives other arrays. Since 2 images are read as viewers show them;
a source is prepared once more, to the same fingerprint where that makes no difference."""


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
                      & {"train_images", "val_images", "split_seed", "image_size", "duplicates"})
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
        return _test_set_from_folder(store, name, folder, like, data, progress)

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
    if data.duplicates == "warn":
        del settings["duplicates"]  # as before there was a choice
    folder = None if source in BUILTIN else ImageFolder(base / expanded(source))
    form, stamp = ((BUILTIN_FORMAT, [source, version("scikit-learn")]) if folder is None
                   else (FORMAT, folder.stamp()))
    index = keys.source_index(sha256(canonical_json([form, stamp, settings, dict(extra or {})]).encode())[:16])
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
    if source in BUILTIN and data.duplicates != "warn":
        raise InputError(f"duplicates is for image folders and zips; {source} is what it is. Leave it out.")
    if source == "digits":
        return _from_raw(store, data, "digits", digits())
    if source in CIFAR:
        return _from_raw(store, data, source, cifar(source, cache / "downloads", progress))
    return _from_folder(store, data, source, progress)


def _from_raw(store: Store, data: Data, name: str, raw: RawImages) -> DataManifest:
    """Split a named data set and store it."""
    train, val = split_indices(raw.train_labels, data)
    mean, std = channel_statistics(raw.train_images[train])
    splits = {"train": (raw.train_images[train], raw.train_labels[train]),
              "val": (raw.train_images[val], raw.train_labels[val]),
              "test": (raw.test_images, raw.test_labels)}
    return arrays_manifest(store, name, raw.classes, splits, mean, std, {})


def _from_folder(store: Store, data: Data, folder: ImageFolder, progress: Progress) -> DataManifest:
    classes = classes_of(folder)
    sample = look(folder, [e.path for e in folder.train()])
    streamed = (data.image_size or sample.shorter_side) >= STREAM_FROM
    parts = _of_one_size(folder, classes, sample, streamed, data, progress)
    _warn_of_depth(folder, sample)
    name, found = printable(as_text(folder.root.name)), folder.findings.to_dict()
    if streamed:  # the mean and deviation are ImageNet's, as the networks for large images expect
        return files_manifest(store, name, folder.root, classes, parts, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225],
                              found)
    mean, std = channel_statistics(images_of(parts["train"]))
    return arrays_manifest(store, name, classes, arrays_of(parts, classes), mean, std, found)


def _of_one_size(folder: ImageFolder, classes: list[str], sample: Sample, streamed: bool, data: Data,
                 progress: Progress) -> dict[str, Part]:
    """The images of the splits. Where they have several sizes and no `image_size` is set, the rule chooses one."""
    if data.image_size is not None or streamed:
        return read_splits(folder, classes, data.image_size, streamed, data, progress)
    if len(set(sample.sizes)) < 2:
        try:
            return read_splits(folder, classes, None, streamed, data, progress)
        except SizesDiffer:  # only images that were not looked at have other sizes
            pass
    side = chosen_side(sample)
    folder.findings.notes.append(f"images have several sizes: all are brought to {side}x{side} pixels, {RULE}. "
                                 "[data] image_size sets another.")
    return read_splits(folder, classes, side, streamed, data, progress)


def _warn_of_depth(folder: ImageFolder, sample: Sample) -> None:
    if (warning := sample.depth_warning()) is not None:
        folder.findings.warnings.append(warning)


def _test_set_from_folder(store: Store, name: str, folder: ImageFolder, like: Prepared, data: Data,
                          progress: Progress) -> DataManifest:
    classes, manifest = like.classes, like.manifest
    entries = same_names(folder.test(), classes)
    folder.refuse_empty()
    if unknown := sorted({e.label for e in entries} - set(classes)):
        raise InputError(f"test set {name} has classes that the training data lacks: {', '.join(unknown[:5])}.")
    streamed = manifest.image_size is None
    height, width = manifest.image_size or (None, None)
    parts = read_parts(folder, {"test": entries}, height if height == width else None, streamed, data, progress)
    stop, contents = data.duplicates == "stop", parts["test"].contents()
    tell({"test": contents}, folder.findings, stop)
    tell_of_known(contents, contents_known(like), folder.findings, stop)
    _warn_of_depth(folder, look(folder, [e.path for e in entries]))
    found = folder.findings.to_dict()
    if streamed:
        return files_manifest(store, name, folder.root, classes, parts, manifest.mean, manifest.std, found)
    images = images_of(parts["test"])
    if images.shape[1:3] != (height, width):
        raise InputError(f"test set {name} has images of {images.shape[1]}x{images.shape[2]} pixels, the training "
                         f"data of {height}x{width}. Set image_size in [data] to bring all images to one size.")
    return arrays_manifest(store, name, classes, arrays_of(parts, classes), manifest.mean, manifest.std, found)
