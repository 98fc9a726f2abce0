"""Local files as both stores write them: atomically, with the operating system's errors in the user's words."""

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from consort.errors import ConsortError, InputError, StoreUnavailable
from consort.store.base import TEMPORARY_PREFIX

LIMITS = {
    errno.EFBIG: "A file may not become that large here: raise the limit (`ulimit -f unlimited`), or choose a file "
                 "system that takes larger files.",
    errno.EMFILE: "This process may not open more files: raise the limit (`ulimit -n 4096`).",
    errno.ENFILE: "This machine has too many files open: end what holds them, and run the same command again.",
}
"""What to do where writing met a limit, which another folder has too."""


def write_whole(target: Path, data: bytes) -> None:
    """Write a file so that readers see all of it or what was there before. Quick: plans write thousands."""
    temporary = f"{target.parent}/{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        handle = os.open(temporary, flags, 0o644)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, flags, 0o644)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its place when the context ends well, and vanishes otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def expanded(path: str | Path) -> Path:
    """A path with its `~` as a home, and, where the locale cannot write it, as UTF-8; InputError where there is no such
    home."""
    try:
        return Path(in_locale(str(path))).expanduser()
    except RuntimeError as e:
        raise InputError(f"the path {path} begins with ~, and there is no such home here: write it out, or set "
                         "HOME.") from e


def in_locale(name: str) -> str:
    """A name as the system takes it: one that the locale's encoding cannot write is in UTF-8 on the disk."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return os.fsdecode(name.encode("utf-8", "surrogateescape"))
    return name


def as_text(name: str) -> str:
    """A name of the file system as UTF-8, whatever the locale; bytes that are none stand as lone surrogates."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def explain(error: OSError, place: str, what: str, remedy: str) -> ConsortError:
    """StoreUnavailable where `place` is full (a retry can help), else InputError: with what lifts the limit
    that was met, else with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(f"{place} is full ({what}): {error.strerror}. Free some room and run the same command "
                                "again; finished members are kept.")
    remedy = LIMITS.get(error.errno or 0, remedy)
    return InputError(f"{place} cannot be used ({what}): {error.strerror or error}. {remedy}")
