"""Images in `train/<class>/*` and `test/<class>/*`, in a folder or in a zip that is read where it is."""

import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from consort.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")
TEST_FOLDERS = ("test", "val")
"""ImageNet comes with train/ and val/: val/ is the test split where there is no test/."""


@dataclass(frozen=True)
class Entry:
    """One image file: its path inside the folder or zip and its class."""

    path: str
    label: str


class ImageFolder:
    """The images of a folder or zip, by split and class, in sorted order. Nothing is extracted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.exists():
            raise InputError(f"the image folder {root} does not exist. [data] source is digits, cifar10, cifar100, or "
                             "the path of a folder or zip with train/<class>/* and test/<class>/*.")
        self.is_zip = root.is_file()
        if self.is_zip and not zipfile.is_zipfile(root):
            raise InputError(f"{root} is neither a folder nor a zip file.")

    def stamp(self) -> list:
        """What changes when the files do, cheap to read: paths, sizes and times."""
        if self.is_zip:
            stat = self.root.stat()
            return [str(self.root.resolve()), stat.st_size, stat.st_mtime_ns]
        files = sorted((path, (self.root / path).stat()) for path in self._paths)
        return [str(self.root.resolve()), [[path, s.st_size, s.st_mtime_ns] for path, s in files]]

    @cached_property
    def _paths(self) -> list[str]:
        if self.is_zip:
            names: Iterable[str] = [i.filename for i in self._archive.infolist() if not i.is_dir()]
        else:
            names = [(Path(folder) / name).relative_to(self.root).as_posix()
                     for folder, _, files in os.walk(self.root, followlinks=True) for name in files]
        return sorted(n for n in names if n.lower().endswith(SUFFIXES) and not _hidden(n))

    @cached_property
    def _splits(self) -> dict[str, list[Entry]]:
        """Split folder -> entries; the split folders may stand below one top folder, as zips often have it."""
        splits: dict[str, list[Entry]] = {}
        for path in self._paths:
            parts = path.split("/")
            depth = 0 if parts[0] in ("train", *TEST_FOLDERS) else 1
            if len(parts) >= depth + 3:
                splits.setdefault(parts[depth], []).append(Entry(path, parts[depth + 1]))
        return splits

    def train(self) -> list[Entry]:
        return self._split(("train",))

    def test(self) -> list[Entry]:
        return self._split(TEST_FOLDERS)

    def _split(self, names: tuple[str, ...]) -> list[Entry]:
        for name in names:
            if self._splits.get(name):
                return self._splits[name]
        raise InputError(f"{self.root} has no images in {names[0]}/<class>/ ({', '.join(SUFFIXES)}). Put the images in "
                         "train/<class>/ and test/<class>/.")

    def read(self, path: str) -> bytes:
        """The bytes of one image; raises OSError or ValueError where they cannot be read."""
        if not self.is_zip:
            return (self.root / path).read_bytes()
        try:
            return self._archive.read(path)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as e:  # damaged, or encrypted
            raise ValueError(str(e)) from e

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.root)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as e:
            raise InputError(f"{self.root} is not a readable zip file: {e}.") from e

    def __getstate__(self) -> dict:
        """For worker processes: each opens the zip by itself."""
        return {k: v for k, v in self.__dict__.items() if k in ("root", "is_zip")}


def _hidden(path: str) -> bool:
    """What a Mac leaves in archives, and files that an editor or a shell hides."""
    return path.startswith((".", "__MACOSX/")) or "/." in path or "/__MACOSX/" in path
