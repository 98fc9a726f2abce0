"""Options and arguments that several commands share, and what the environment says of store and cache."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from consort.store import Store

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
NamespaceOption = Annotated[str | None, typer.Option(
    "--namespace", "-n", envvar="CONSORT_NAMESPACE", show_default=False,
    help="Namespace of the jobs; by default the kubeconfig's, or the pod's own.")]
ContextOption = Annotated[str | None, typer.Option(
    "--context", help="Context of the kubeconfig.", show_default=False)]
LogOption = Annotated[str, typer.Option("--log", metavar="text|json", help="Plain lines, or one JSON event a line.")]
ImagesOption = Annotated[Path | None, typer.Option(
    "--images", help="Where streamed images are, when not where they were prepared.", show_default=False)]


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
