"""What every store can do. A key is a relative path such as `members/<id>/member.json`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

TEMPORARY_PREFIX = ".tmp-"
"""Names that begin so are writes under way; no key may have one."""


class Store(Protocol):
    """Objects under keys. A write is atomic: readers see the whole object or none of it.

    A key is never also the folder of another key: a file system cannot store that, and MinIO does not list it.

    Methods raise MissingKey for an absent object, InputError where access is refused or the store cannot be written,
    and StoreUnavailable where it does not answer within its deadline or has no room.
    """

    uri: str

    def read(self, key: str) -> bytes:
        """The whole object."""

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below `prefix` (a folder, with or without its closing slash), sorted."""

    def delete(self, prefix: str) -> None:
        """Delete the object, or every object below this folder; absent is fine."""

    def put_file(self, key: str, path: Path) -> None:
        """Create or replace an object from a file; OSError where the file cannot be read."""

    def get_file(self, key: str, cache: Path) -> Path:
        """A local file with the object's bytes: the store's own file, or a copy below `cache`. Do not write to it."""

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold `key` for this process while the context lasts; raises Busy where another holds it.

        The lock of a process that died frees itself. The object under `key` belongs to the lock; it may stay behind.
        """


def check_key(key: str) -> str:
    """A key that names the same object in every store and cannot leave it; a ValueError is a defect of the caller."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or part.startswith(TEMPORARY_PREFIX) for part in parts):
        raise ValueError(f"a store key is a relative path without '.', '..' or '{TEMPORARY_PREFIX}*', got {key!r}")
    if "\\" in key or not key.isprintable():
        raise ValueError(f"a store key has printable characters and no backslash, got {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """A folder of keys, without its closing slash."""
    return check_key(prefix.removesuffix("/"))
