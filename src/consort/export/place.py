"""The folder that becomes a bundle: replaced where it is one, left alone where it is anything else."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consort.errors import InputError, system_reason

MANIFEST = "manifest.json"


def check_target(folder: Path) -> None:
    """InputError where something else than a bundle is there."""
    other = folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file()
    if other or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} exists and is no bundle: name another folder with --output.")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder that becomes `folder` when the context ends well; InputError where that cannot be written."""
    check_target(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as unfinished:
            made = Path(unfinished) / "bundle"
            made.mkdir()
            yield made
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as e:
        raise InputError(f"{folder} cannot be written: {system_reason(e)}. Name another folder with --output.") from e
