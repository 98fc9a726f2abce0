"""The folder that becomes a bundle: replaced where it is one, left alone where it is anything else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consort.errors import ConsortError, InputError
from consort.store.base import TEMPORARY_PREFIX
from consort.store.files import explain

MANIFEST = "manifest.json"


def check_target(folder: Path) -> None:
    """InputError where something else than a bundle is there, or it cannot be looked at."""
    try:
        other = folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file()
        other = other or (folder.exists() and not folder.is_dir())
    except OSError as e:
        raise _explained(e, folder) from e
    if other:
        raise InputError(f"{folder} exists and is no bundle: name another folder with --output.")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder that becomes `folder` when the context ends well; InputError where that cannot be written,
    StoreUnavailable where its disk is full."""
    check_target(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder.parent) as unfinished:
            made = Path(unfinished) / "bundle"
            made.mkdir()
            yield made
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as e:
        raise _explained(e, folder) from e


def _explained(error: OSError, folder: Path) -> ConsortError:
    """What went wrong, with this folder or with what was read while it was filled."""
    if error.filename is not None:
        named, target = Path(error.filename).absolute(), folder.absolute()
        unfinished = any(place.name.startswith(TEMPORARY_PREFIX) and place.parent == target.parent
                         for place in (named, *named.parents))
        if not (unfinished or target.is_relative_to(named) or named.is_relative_to(target)):
            return InputError(f"{error.filename} cannot be used: {error.strerror or error}. It is no part of {folder}.")
    return explain(error, str(folder), "writing the bundle", "Name another folder with --output.")
