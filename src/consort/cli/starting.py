"""consort init: a study file to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer


def init(path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.toml")) -> None:
    """Write a commented study file to start from."""
    from consort.errors import InputError

    if path.exists():
        raise InputError(f"{path} exists already; name another file.")
    try:
        path.write_text(files("consort.cli").joinpath("study.toml").read_text())
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}. Name another place.") from e
    print(f"wrote {path}. Edit it, then: consort run {path}")
