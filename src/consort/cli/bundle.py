"""consort verify, serve and register: what is done with a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, cache_folder, open_store_at

if TYPE_CHECKING:
    from consort.export.labelled_images import Images


def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.", show_default=False)],
    data: Annotated[Path | None, typer.Option(
        "--data", metavar="DIR", help="Labelled images: <class>/*.jpg, or prepared ones. By default the study's test "
        "images, where the store has them.", show_default=False)] = None,
    budget_ms: Annotated[float | None, typer.Option(
        min=0, help="Fail where 9 of 10 images are not answered within this.", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option(
        metavar="onnxruntime|openvino", help="What executes the graph; by default what it was measured in.",
        show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Measure again, here, what a bundle promises.

    Its files, its examples, its accuracy, that it answers as the study said, its latency. Exits with 4 where something
    differs. A bundle for PyTorch is for those who trust where it came from: torch.export.load may run what is in it.
    """
    from consort.errors import InputError, unknown_name
    from consort.export import verify as verification

    if runtime is not None and runtime not in verification.RUNTIMES:
        raise unknown_name("runtime", runtime, verification.RUNTIMES)
    try:
        images = data if data is not None else _study_images(bundle, store)
        checks = verification.verify(bundle, images, budget_ms, runtime)
    except verification.BundleError as e:
        raise InputError(str(e)) from e
    print(verification.as_json(bundle, checks) if as_json else "\n".join(verification.lines(checks)))
    if any(check.ok is False for check in checks):
        raise typer.Exit(4)


def serve(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or where one was put: s3://bucket/...",
                                          show_default=False)],
    host: Annotated[str, typer.Option(help="0.0.0.0 for all of this machine's addresses.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    threads: Annotated[int | None, typer.Option(min=1, help="Of a pass; by default one per core.",
                                                show_default=False)] = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Images of a pass.")] = 64,
) -> None:
    """Answer over HTTP what is on pictures, with a bundle.

    The Open Inference Protocol v2, image files at /v2/models/NAME/classify, a page to try it on at /, Prometheus'
    metrics at /metrics. SIGTERM ends it when what was asked is answered. A bundle for PyTorch is for those who trust
    where it came from: torch.export.load may run what is in it.
    """
    from consort import hardware
    from consort.errors import InputError
    from consort.export.running import BundleError

    try:
        from consort.export import serving
    except ModuleNotFoundError as e:
        raise InputError(f"serving needs {e.name}: pip install 'consort[serve]'.") from e
    folder = _fetched(bundle) if bundle.startswith("s3://") else Path(bundle)
    try:
        serving.serve(folder, host, port, threads or hardware.cores(), batch, serving.Limits())
    except BundleError as e:
        raise InputError(str(e)) from e


def register(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or where one was put: s3://bucket/...",
                                          show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="mlflow|model-registry", help="Which registry.",
                                    show_default=False)],
) -> None:
    """Enter a bundle in a registry of models, with what was measured.

    mlflow: its files too, where MLFLOW_TRACKING_URI says. model-registry: Kubeflow's, which keeps the address of a
    bundle in a bucket, where MODEL_REGISTRY_URL says.
    """
    from consort.errors import InputError, unknown_name
    from consort.export import mlflow_registry, model_registry
    from consort.export.running import BundleError, read_manifest
    from consort.export.verify import files_check

    if to not in ("mlflow", "model-registry"):
        raise unknown_name("registry", to, ("mlflow", "model-registry"))
    stored = bundle.startswith("s3://")
    if to == "model-registry" and not stored:
        raise InputError("the Model Registry keeps an address that others can reach, and this is a folder: name the "
                         "bundle as s3://..., where `consort export` from a store in a bucket puts it.")
    folder = _fetched(bundle) if stored else Path(bundle)
    try:
        manifest = read_manifest(folder)
    except BundleError as e:
        raise InputError(str(e)) from e
    if not (check := files_check(folder, manifest)).ok:
        raise InputError(f"{bundle} is not what was exported and measured: {check.text}.")
    print(mlflow_registry.register(folder, manifest) if to == "mlflow" else model_registry.register(bundle, manifest))


def _fetched(uri: str) -> Path:
    """A copy of a bundle that lies in a bucket."""
    import tempfile

    from consort.export.bundle_copy import fetch

    bucket, _, place = uri.removeprefix("s3://").partition("/")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=cache))
    fetch(open_store_at(f"s3://{bucket}"), place, folder)
    return folder


def _study_images(bundle: Path, store: str) -> "Images | None":
    """The study's test images, where the store is there and has them."""
    from consort.data.prepared import open_prepared
    from consort.errors import MissingKey
    from consort.export.labelled_images import Images, study_answers
    from consort.export.measured import split_images
    from consort.export.running import read_manifest

    manifest = read_manifest(bundle)
    if not store.startswith("s3://") and not Path(store).expanduser().is_dir():
        return None
    try:
        prepared = open_prepared(open_store_at(store), manifest["data"]["fingerprint"], cache_folder())
        return Images(prepared.labels("test"), split_images(prepared, "test", manifest["input"]), study_answers(bundle))
    except MissingKey:
        return None
