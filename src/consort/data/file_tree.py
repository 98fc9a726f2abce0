"""The files below a folder or in a zip that is read where it is, under names that are the same on every machine.

A path is relative, with "/" and in UTF-8 whatever the system's locale or the maker of the archive used; bytes of a name
that are no UTF-8 stand as lone surrogates. Nothing is extracted, and no name leads outside.
"""

import errno
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from consort.errors import InputError, StoreUnavailable
from consort.store.files import as_text

MOST_BYTES = 1 << 30
"""Larger files are not read as one image."""
BOMB_BYTES, BOMB_RATIO = 64 << 20, 200
"""An entry of a zip that unpacks to more than this many bytes and times its size is refused."""
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN,
           errno.EHOSTUNREACH, errno.EREMOTEIO}
"""What says something about the machine or a mounted server, and nothing about the file."""
LOOP = "links to a folder around them"


@dataclass(frozen=True)
class File:
    path: str
    stamp: tuple[int | str, ...] = ()
    """Changes when the file does."""
    reason: str = ""
    """Why this is not read, where that is known without reading it."""


class FolderTree:
    """Files on a disk. Links are followed, but not back into a folder that they stand in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted; none where it cannot be read, but InputError of the root."""
        try:
            with os.scandir(self._full(path)) as entries:
                return sorted(as_text(entry.name) for entry in entries if _is_folder(entry))
        except OSError as e:
            if not path:
                raise InputError(f"{self.root} cannot be read: {e.strerror or e}. Make it readable.") from e
            return []

    def standing_in(self, path: str) -> list[str]:
        """Names of the files in a folder itself, sorted; none where it cannot be read."""
        try:
            with os.scandir(self._full(path)) as entries:
                return sorted(as_text(entry.name) for entry in entries if not _is_folder(entry))
        except OSError:
            return []

    def files(self, path: str) -> Iterator[File]:
        """Everything below a folder, in no order."""
        stack = [(path, frozenset(map(_identity, self.root.resolve().parents)) | {_identity(self.root)})]
        while stack:
            folder, around = stack.pop()
            try:
                around |= {_identity(self._full(folder))}
                with os.scandir(self._full(folder)) as entries:
                    for entry in entries:
                        name = f"{folder}/{as_text(entry.name)}"
                        if not _is_folder(entry):
                            yield File(name, _stamp(entry))
                        elif _identity(entry.path) in around:
                            yield File(name, reason=LOOP)
                        else:
                            stack.append((name, around))
            except OSError as e:
                raise InputError(f"the folder {self.root}/{folder} cannot be read: {e.strerror or e}. Its images would "
                                 "be missing: make it readable, or remove it.") from e

    def read(self, path: str) -> bytes:
        """The bytes of a file, in any thread; ValueError with the reason where it cannot be read."""
        full = self._full(path)
        try:
            status = full.stat()
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no file but a folder, a pipe or a device")
            if status.st_size > MOST_BYTES:
                raise ValueError(f"it has {status.st_size:,} bytes; one image may have {MOST_BYTES:,}")
            return full.read_bytes()
        except OSError as e:
            if e.errno in PASSING:
                raise StoreUnavailable(f"the image folder {self.root} does not answer ({path}): {e.strerror}. Run the "
                                       "same command again when it does.") from e
            if e.errno == errno.ENOENT and full.is_symlink():
                raise ValueError(f"it is a link to {as_text(str(full.readlink()))}, which does not exist") from e
            raise ValueError(e.strerror or str(e)) from e

    def _full(self, path: str) -> Path:
        return self.root / os.fsdecode(path.encode("utf-8", "surrogateescape"))


@dataclass
class ZipTree:
    """Files in a zip. Of several entries of one name the last counts, as for those who unpack it."""

    root: Path
    unsafe: list[str] = field(default_factory=list)
    """Names that lead outside."""
    repeated: list[str] = field(default_factory=list)

    def folders(self, path: str) -> list[str]:
        below = f"{path}/" if path else ""
        return sorted({rest.split("/")[0] for name in self._entries if name.startswith(below)
                       and "/" in (rest := name[len(below):])})

    def standing_in(self, path: str) -> list[str]:
        below = f"{path}/" if path else ""
        return sorted(rest for name in self._entries
                      if name.startswith(below) and "/" not in (rest := name[len(below):]))

    def files(self, path: str) -> Iterator[File]:
        return (File(name) for name in self._entries if name.startswith(f"{path}/"))

    def read(self, path: str) -> bytes:
        """The bytes of an entry, in any thread; ValueError with the reason where it cannot be read."""
        try:
            entry = self._entries.get(path) or self._archive.getinfo(path)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise ValueError("it is a link, which is not followed in a zip")
            if entry.file_size > min(MOST_BYTES, max(BOMB_BYTES, BOMB_RATIO * entry.compress_size)):
                raise ValueError(f"it unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes, as a zip bomb "
                                 "does")
            return self._archive.read(entry)
        except ValueError:
            raise
        except OSError as e:
            raise ValueError(e.strerror or str(e)) from e
        except KeyError as e:
            raise ValueError("the zip has no such file") from e
        except Exception as e:  # damaged, encrypted or an unknown compression: zipfile has no one error for it
            raise ValueError(str(e) or type(e).__name__) from e

    @cached_property
    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            name = _zip_name(entry)
            if name.endswith("/"):
                continue
            if ".." in (parts := name.split("/")) or "" in parts or "." in parts or ":" in parts[0]:
                self.unsafe.append(name)
                continue
            if name in entries:
                self.repeated.append(name)
            entries[name] = entry
        return entries

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.root)
        except OSError as e:
            raise InputError(f"{self.root} cannot be read: {e.strerror or e}.") from e
        except Exception as e:  # a damaged directory: zipfile has no one error for it
            raise InputError(f"{self.root} is not a readable zip file: {e}. Make it anew, or unpack it and give the "
                             "folder.") from e


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name that its maker meant: Windows may write backslashes, macOS writes UTF-8 without the flag for it."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    if entry.create_system == 0 or "/" not in name:
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(path: str | Path) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def _stamp(entry: os.DirEntry) -> tuple[int | str, ...]:
    try:
        status = entry.stat()
        return status.st_size, status.st_mtime_ns
    except OSError as e:  # a broken link: reading it will say so
        return (e.errno or 0,)
