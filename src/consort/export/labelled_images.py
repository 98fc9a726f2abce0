"""Labelled images to measure a bundle with: a folder's, or the study's test images with what the study says of them.

This file is part of every bundle, beside what uses it, and needs numpy and pillow alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from consort.export.running import BundleError, ImageFiles, sha256

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")


@dataclass(frozen=True)
class Images:
    """Labelled images to measure with."""

    labels: np.ndarray
    """Numbers of classes [N]."""
    images: Sequence[np.ndarray]
    """uint8 [height, width, 3] each, as the bundle takes them."""
    answers: np.ndarray | None = None
    """Of the study's test images: what the study's own predictions say; see `study_answers`."""


def labelled_images(folder: Path, bundle: Path, manifest: dict[str, Any]) -> Images:
    """The test images of a folder: prepared ones of Consort's store (test-images.npy and test-labels.npy), or image
    files in <class>/, test/<class>/ or val/<class>/. Raises BundleError where there are none."""
    if (folder / "test-images.npy").is_file() and (folder / "test-labels.npy").is_file():
        return _prepared(folder, bundle, manifest)
    root = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), folder)
    paths = sorted(path for path in root.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise BundleError(f"{folder} has no images: --data is a folder with <class>/*.jpg or *.png, perhaps below "
                          "test/, or one of prepared data with test-images.npy.")
    numbers = {label: number for number, label in enumerate(manifest["labels"])}
    unknown = sorted({path.parent.name for path in paths} - set(numbers))
    if unknown:
        raise BundleError(f"{root} has folders of classes that the bundle does not know: {_some(unknown)}. It knows "
                          f"{_some(manifest['labels'])} (labels.txt).")
    return Images(np.array([numbers[path.parent.name] for path in paths]), _files(paths, manifest["input"]))


def _some(names: Sequence[Any]) -> str:
    """The first five, and whether there are more."""
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")


def _files(paths: list[Path], rule: dict[str, Any]) -> ImageFiles:
    return ImageFiles([str(path) for path in paths], lambda name: Path(name).read_bytes(), rule)


def _prepared(folder: Path, bundle: Path, manifest: dict[str, Any]) -> Images:
    try:
        images, labels = (np.load(folder / f"test-{name}.npy", mmap_mode="r", allow_pickle=False)
                          for name in ("images", "labels"))
    except (OSError, ValueError, EOFError) as e:
        raise BundleError(f"{folder} has prepared images that cannot be read: {e}. Prepare them again.") from e
    rule = manifest["input"]
    if images.shape[1:] != (rule["height"], rule["width"], 3) or images.dtype != np.uint8:
        raise BundleError(f"{folder} holds images {list(images.shape)} of {images.dtype}, and the bundle takes "
                          f"{rule['height']} x {rule['width']} pixels of uint8. Name the data that the study used.")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise BundleError(f"{folder} holds labels {list(labels.shape)} of {labels.dtype} for {len(images)} images: "
                          "there must be a whole number for each. Prepare them again.")
    if not len(labels) or labels.min() < 0 or labels.max() >= len(manifest["labels"]):
        raise BundleError(f"{folder} has no images of the bundle's {len(manifest['labels'])} classes: its labels must "
                          "be their numbers. Name the data that the study used, or others of the same classes.")
    same = sha256(folder / "test-images.npy") == manifest["data"]["test_images"]
    if not same:
        _check_classes(folder, manifest)
    return Images(labels, images, study_answers(bundle) if same else None)


def _check_classes(folder: Path, manifest: dict[str, Any]) -> None:
    """Other prepared data is of the same classes, in the same order, where it says which."""
    try:
        classes = json.loads((folder / "manifest.json").read_text())["classes"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BundleError(f"{folder}/manifest.json cannot be read: {e}. Prepare the data again.") from e
    if classes != manifest["labels"]:
        raise BundleError(f"{folder} has the classes {_some(classes)}, and the bundle {_some(manifest['labels'])}: "
                          f"numbers of the one mean nothing to the other.")


def study_answers(bundle: Path) -> np.ndarray | None:
    """What the study's predictions say of its test images: class, its probability, members asked, [N]. None where that
    cannot be read, which `verify.files_check` tells."""
    try:
        return np.load(bundle / "examples/study-answers.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
