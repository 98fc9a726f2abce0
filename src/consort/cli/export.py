"""consort export and verify: a choice as a bundle, and the proof that it does what was said."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.answer import MacsOption, MbOption, MsOption, ParallelOption, ParamsOption, WorstOption, budget_of
from consort.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    StoreOption,
    StudyArgument,
    cache_folder,
    open_store_at,
)

if TYPE_CHECKING:
    from consort.export.bundle import Origin
    from consort.export.chosen import Chosen
    from consort.export.verify import Images
    from consort.run.run import Run


def export(
    run: StudyArgument,
    choice: Annotated[str | None, typer.Argument(
        help="A candidate of the run, by its id in the report; by default the recommended one.",
        show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Its folder.")] = Path("bundle"),
    macs: MacsOption = None,
    ms: MsOption = None,
    parallel: ParallelOption = False,
    params: ParamsOption = None,
    mb: MbOption = None,
    worst: WorstOption = False,
    members: Annotated[str | None, typer.Option(
        "--members", metavar="ID,...", help="These members in place of a choice.", show_default=False)] = None,
    combine: Annotated[str, typer.Option(metavar="geometric|arithmetic", help="Of --members.")] = "geometric",
    half: Annotated[bool, typer.Option("--half", help="Weights in float16: half the bytes.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure the latency anew, where the store has it.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Write the network, ensemble or cascade that a run recommends as a folder that runs.

    One ONNX file for images in and probabilities out, what it was measured to do, examples, and what serves it. From an
    S3 store the bundle is put there too. With bounds on costs, what `consort answer` recommends within them.
    """
    from consort.documents import canonical_json
    from consort.export.bundle import Origin, parts_of, write_bundle
    from consort.export.bundle_copy import put

    budget = budget_of(macs, ms, parallel, params, mb, worst)
    _refuse_several(choice, members, budget)
    planned = _planned(run, store)
    origin = Origin(planned.store, planned.plan.data, planned.study.name, planned.plan.run, planned.cache)
    chosen = _members(origin, members, combine) if members else _candidate(planned, choice, budget)
    parts = parts_of(origin, chosen, half)
    manifest = write_bundle(origin, parts, output, again, report=lambda text: typer.echo(text, err=True))
    place = put(origin.store, output, manifest) if origin.store.uri.startswith("s3://") else None
    if json:
        print(canonical_json({"bundle": str(output), "uri": place, "manifest": manifest}))
        return
    test, latency = manifest["measured"]["test"], manifest["latency"]
    print(f"{output}: {manifest['label']}, accuracy {test['accuracy']:.2%} ({test['low']:.2%} to {test['high']:.2%}) "
          f"on {test['images']:,} test images, {latency['p50_ms']:.3g} ms per image (p90 {latency['p90_ms']:.3g})")
    if place is not None:
        print(f"put at {place}")
    print(f"check it: consort verify {output}    serve it: consort serve {output}")


def _refuse_several(choice: str | None, members: str | None, budget: dict[str, float]) -> None:
    from consort.errors import InputError

    if (choice is not None) + (members is not None) + bool(budget) > 1:
        raise InputError("a candidate's id, --members and bounds on costs each say what is exported: give one of them.")


def _planned(run: Path, store: str) -> "Run":
    from rich.console import Console

    from consort.cli.planning import planned_study

    return planned_study(open_store_at(store), run, Console(stderr=True)).run


def _candidate(run: "Run", choice: str | None, budget: dict[str, float]) -> "Chosen":
    from consort.answer.decision import decide
    from consort.export.chosen import candidate_of, chosen_of
    from consort.run.choices import choices

    found, evidence = choices(run)
    return chosen_of(candidate_of(found, decide(found, evidence, budget).candidate if budget else choice))


def _members(origin: "Origin", names: str, combine: str) -> "Chosen":
    from consort.errors import unknown_name
    from consort.export.chosen import of_members

    if combine not in ("geometric", "arithmetic"):
        raise unknown_name("way to combine", combine, ("geometric", "arithmetic"))
    return of_members(origin.store, origin.data, names.split(","), combine, origin.cache)


def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.", show_default=False)],
    data: Annotated[Path | None, typer.Option(
        "--data", metavar="DIR", help="Labelled images: <class>/*.jpg, or prepared ones. By default the study's test "
        "images, where the store has them.", show_default=False)] = None,
    budget_ms: Annotated[float | None, typer.Option(
        min=0, help="Fail where 9 of 10 images are not answered within this.", show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Measure again, here, what a bundle promises.

    Its files, its examples, its accuracy, that it answers as the study said, its latency. Exits with 4 where something
    differs.
    """
    from consort.errors import InputError
    from consort.export import verify as verification

    try:
        images = data if data is not None else _study_images(bundle, store)
        checks = verification.verify(bundle, images, budget_ms)
    except verification.BundleError as e:
        raise InputError(str(e)) from e
    print(verification.as_json(bundle, checks) if json else "\n".join(verification.lines(checks)))
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
    metrics at /metrics. SIGTERM ends it when what was asked is answered.
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


def _fetched(uri: str) -> Path:
    """A copy of a bundle that lies in a bucket."""
    from consort.export.bundle_copy import fetch

    bucket, _, place = uri.removeprefix("s3://").partition("/")
    return fetch(open_store_at(f"s3://{bucket}"), place, cache_folder())


def _study_images(bundle: Path, store: str) -> "Images | None":
    """The study's test images, where the store is there and has them."""
    from consort.data.prepared import open_prepared
    from consort.errors import MissingKey
    from consort.export.measured import split_images
    from consort.export.verify import Images, read_manifest, study_answers

    manifest = read_manifest(bundle)
    if not store.startswith("s3://") and not Path(store).expanduser().is_dir():
        return None
    try:
        prepared = open_prepared(open_store_at(store), manifest["data"]["fingerprint"], cache_folder())
        return Images(prepared.labels("test"), split_images(prepared, "test", manifest["input"]), study_answers(bundle))
    except MissingKey:
        return None
