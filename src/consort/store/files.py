"""Local files as both stores write them: atomically, with the operating system's errors in the user's words."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from consort.errors import ConsortError, InputError, StoreUnavailable
from consort.store.base import TEMPORARY_PREFIX


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


def explain(error: OSError, place: str, what: str, remedy: str) -> ConsortError:
    """StoreUnavailable where `place` is full (a retry can help), else InputError with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(f"{place} is full ({what}): {error.strerror}. Free some room and run the same command "
                                "again; finished members are kept.")
    return InputError(f"{place} cannot be used ({what}): {error.strerror or error}. {remedy}")
