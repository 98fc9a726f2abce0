"""The commands and the words that they share. Each command imports what it needs when it runs: `--help` is quick."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort import __version__

if TYPE_CHECKING:
    from consort.store import Store

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="For a budget of FLOPs or milliseconds: one large network, several small ones, or a cascade?",
    epilog="Exit codes: 0 done · 1 a defect of Consort · 2 wrong input · 3 a member cannot be trained · 4 the run "
           "ended with members missing · 5 a stored file was altered · 130 interrupted · 143 stopped, state saved · "
           "175 store or member busy, try again.")

StoreOption = Annotated[str, typer.Option(
    "--store", envvar="CONSORT_STORE", metavar="URI",
    help="A folder, or s3://bucket/prefix (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).")]
StudyArgument = Annotated[Path, typer.Argument(
    metavar="STUDY", help="A study file (TOML), or NAME/RUN of a planned run in the store.", show_default=False)]
DataOption = Annotated[str | None, typer.Option(
    "--data", metavar="SOURCE", help="Use this instead of the study's [data] source.", show_default=False)]
GrowOption = Annotated[bool, typer.Option(
    "--grow", help="Add the seeds that the study's `grow` asks for, until its answer is narrow enough.")]
OutputOption = Annotated[Path | None, typer.Option(
    "--output", help="Copy the report into this folder; from a cluster by default into consort-report/.",
    show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DEFAULT_STORE = "consort-store"

_debug = False


def debug_wanted() -> bool:
    return _debug


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    global _debug
    _debug = debug


def open_store_at(uri: str) -> "Store":
    """The store at a URI, with the environment's credentials."""
    from consort.store import S3Access, open_store

    environment = os.environ
    return open_store(uri, S3Access(
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
        environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY"),
        environment.get("AWS_REGION")))


def cache_folder() -> Path:
    """Where downloads and copies of a remote store's files are kept: $CONSORT_CACHE, or below ~/.cache; for a user
    without a home, as containers are often run, below the folder for temporary files."""
    import tempfile

    from consort.store.files import expanded

    if chosen := os.environ.get("CONSORT_CACHE"):
        return expanded(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "consort"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"consort-{os.getuid()}"


from consort.cli import run, search, cluster, launching, costs  # noqa: E402, I001 - in this order
from consort.cli import architectures, steps, members, data, machine, serving  # noqa: E402

__all__ = ["app", "architectures", "cluster", "costs", "data", "launching", "machine", "members", "run", "search",
           "serving", "steps"]
