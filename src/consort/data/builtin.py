"""The named data sets: digits (inside scikit-learn, no download), CIFAR-10 and CIFAR-100."""

import hashlib
import http.client
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consort.data.decode import Progress
from consort.errors import InputError
from consort.store.files import explain, replacing

DIGITS_TRAIN = 600
"""Of the 1,797 digits, 600 are for training and validation and the other 1,197 for testing. They are drawn by a fixed
permutation: in scikit-learn's order neighbours come from one writer, and validation would look easier than test."""

BASE_URL = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class RawImages:
    """A data set before it is split: images uint8 [N, H, W, 3], labels int64 [N]."""

    classes: list[str]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class CifarArchive:
    """The binary version of the archive: fixed-length records, so nothing has to be unpickled."""

    file: str
    sha256: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int
    """CIFAR-100 stores a coarse and a fine label; the last byte counts."""


CIFAR = {
    "cifar10": CifarArchive(
        "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "cifar-10-batches-bin", tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("test_batch.bin",),
        "batches.meta.txt", 1),
    "cifar100": CifarArchive(
        "cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        "cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", 2),
}
BUILTIN = ("digits", *CIFAR)


def digits() -> RawImages:
    """scikit-learn's 8x8 digits, their 17 levels of grey scaled to 0..255 and repeated on three channels."""
    from sklearn.datasets import load_digits  # takes a second to import

    raw = load_digits()
    grey = np.round(raw.images * (255 / 16)).astype(np.uint8)
    images = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=3))
    labels = raw.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = np.sort(order[:DIGITS_TRAIN]), np.sort(order[DIGITS_TRAIN:])
    return RawImages([str(c) for c in range(10)], images[train], labels[train], images[test], labels[test])


def cifar(name: str, downloads: Path, progress: Progress) -> RawImages:
    """CIFAR-10 or CIFAR-100, downloaded once into `downloads` and verified."""
    archive = CIFAR[name]
    return read_cifar(fetch_cifar(name, downloads, progress), archive)


def fetch_cifar(name: str, downloads: Path, progress: Progress) -> Path:
    """The verified archive in `downloads`; downloads it where it is missing."""
    archive = CIFAR[name]
    path = downloads / archive.file
    if not path.exists():
        _download(f"{BASE_URL}/{archive.file}", path, name, progress)
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != archive.sha256:
        raise InputError(f"{path} is not the {name} archive (sha256 {actual[:12]}, expected {archive.sha256[:12]}). "
                         "Delete it and fetch it again.")
    return path


def _download(url: str, path: Path, name: str, progress: Progress) -> None:
    try:
        with (replacing(path) as partial, urllib.request.urlopen(url, timeout=30) as response,
              open(partial, "wb") as out):
            total = int(response.headers.get("Content-Length", 0))
            while chunk := response.read(1 << 20):
                out.write(chunk)
                progress(out.tell(), total)
            if out.tell() < total:
                raise ConnectionError(f"the connection ended after {out.tell():,} of {total:,} bytes")
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", e)
        raise InputError(f"{url} cannot be downloaded ({reason}). Without a network: copy {path.name} from elsewhere "
                         f"to {path.parent}, or set [data] source to an image folder or zip of {name} with "
                         "train/<class>/* and test/<class>/*.") from e
    except OSError as e:
        raise explain(e, f"the folder {path.parent}", f"downloading {path.name}",
                      "Set CONSORT_CACHE to a folder that you may write to.") from e


def read_cifar(path: Path, archive: CifarArchive) -> RawImages:
    """Read the records out of the archive, without extracting it."""
    with tarfile.open(path) as tar:
        def member(name: str) -> bytes:
            try:
                file = tar.extractfile(f"{archive.folder}/{name}")
            except KeyError:
                file = None
            if file is None:
                raise InputError(f"{path} has no {archive.folder}/{name}. Delete it and fetch it again.")
            return file.read()

        classes = member(archive.names).decode().split()
        train = [_records(member(name), archive.label_bytes) for name in archive.train]
        test = [_records(member(name), archive.label_bytes) for name in archive.test]
    train_images, train_labels = (np.concatenate(part) for part in zip(*train, strict=True))
    test_images, test_labels = (np.concatenate(part) for part in zip(*test, strict=True))
    return RawImages(classes, train_images, train_labels, test_images, test_labels)


def _records(data: bytes, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Records of `label_bytes` and 3072 pixels in planes: images uint8 [N, 32, 32, 3], labels int64 [N]."""
    records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + 3072)
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, label_bytes - 1].astype(np.int64)
