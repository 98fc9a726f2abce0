"""consort init: a study file to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.toml"),
    data: Annotated[str | None, typer.Option(
        "--data", metavar="FOLDER", help="Look at this folder or zip of images, and write a study that fits it.",
        show_default=False)] = None,
) -> None:
    """Write a commented study file to start from."""
    from consort import hardware
    from consort.errors import InputError
    from consort.run.first_study import first_study

    if path.exists():
        raise InputError(f"{path} exists already; name another file.")
    text = (files("consort.cli").joinpath("study.toml").read_text(encoding="utf-8") if data is None else
            first_study(data, path, bool(hardware.gpus())))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}. Name another place.") from e
    print(f"wrote {path}. Edit it, then: consort run {path}")
