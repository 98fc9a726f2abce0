"""consort export: a choice as a bundle, made here or by a Job of a cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.answer import budget_of
from consort.cli.options import (
    DEFAULT_STORE,
    ContextOption,
    ImagesOption,
    JsonOption,
    MacsOption,
    MbOption,
    MsOption,
    NamespaceOption,
    ParallelOption,
    ParamsOption,
    StoreOption,
    StudyArgument,
    WorstOption,
    open_store_at,
)

if TYPE_CHECKING:
    from consort.export.chosen import Chosen
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
    format: Annotated[str, typer.Option(metavar="onnx|torch", help="torch: a program of torch.export.")] = "onnx",
    half: Annotated[bool, typer.Option("--half", help="Weights in float16: half the bytes.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure the latency anew, where the store has it.")] = False,
    target: Annotated[str, typer.Option(metavar="local|cluster", help="Where it is made and measured.")] = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    images: ImagesOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Write the network, ensemble or cascade that a run recommends as a folder that runs.

    One file for images in and probabilities out, what it was measured to do, examples, and what serves it. From an S3
    store the bundle is put there too. With bounds on costs, what `consort answer` recommends within them.
    """
    from consort.export.place import check_target

    wanted = _Wanted(members, combine, format, half, again)
    wanted.check(target)
    budget = budget_of(macs, ms, parallel, params, mb, worst)
    _refuse_several(choice, members, budget)
    check_target(output)
    planned = _planned(run, store)
    chosen = None if members else _candidate(planned, choice, budget)
    if target == "cluster":
        manifest, place = _by_job(planned, chosen, wanted, output, namespace, context)
    else:
        manifest, place = _here(planned, chosen, wanted, images, output)
    _print(output, manifest, place, as_json)


@dataclass(frozen=True)
class _Wanted:
    """How it is exported, as the options say it."""

    members: str | None
    combine: str
    format: str
    half: bool
    again: bool

    def check(self, target: str) -> None:
        from consort.errors import unknown_name
        from consort.export.formats import FORMATS

        for kind, name, known in (("target", target, ("local", "cluster")), ("format", self.format, FORMATS),
                                  ("way to combine", self.combine, ("geometric", "arithmetic"))):
            if name not in known:
                raise unknown_name(kind, name, known)

    def options(self) -> list[str]:
        """The options again, for a Job's command."""
        return [*(["--members", self.members, "--combine", self.combine] if self.members else []),
                *(["--format", self.format] if self.format != "onnx" else []),
                *(["--half"] if self.half else []), *(["--again"] if self.again else [])]


def _print(output: Path, manifest: dict, place: str | None, as_json: bool) -> None:
    from consort.documents import canonical_json

    if as_json:
        print(canonical_json({"bundle": str(output), "uri": place, "manifest": manifest}))
        return
    test, latency = manifest["measured"]["test"], manifest["latency"]
    print(f"{output}: {manifest['label']}, accuracy {test['accuracy']:.2%} ({test['low']:.2%} to {test['high']:.2%}) "
          f"on {test['images']:,} test images, {latency['p50_ms']:.3g} ms per image (p90 {latency['p90_ms']:.3g})")
    if place is not None:
        print(f"put at {place}")
    print(f"check it: consort verify {output}    serve it: consort serve {output}")


def _here(run: "Run", chosen: "Chosen | None", wanted: _Wanted, images: Path | None,
          output: Path) -> tuple[dict, str | None]:
    """Made in this process; put into a bucket's store too. The manifest, and where the store has it."""
    from consort.cli.connecting import images_of
    from consort.data.prepared import open_prepared
    from consort.export.bundle import Origin, parts_of, write_bundle
    from consort.export.bundle_copy import put
    from consort.export.chosen import of_members

    data = open_prepared(run.store, run.plan.data.fingerprint, run.cache, images)
    if wanted.members is not None:
        chosen = of_members(run.store, data, wanted.members.split(","), wanted.combine, run.cache, run.ids)
    assert chosen is not None
    pods = images_of(run.study)
    origin = Origin(run.store, data, run.study.name, run.plan.run, run.cache,
                    pods.torch if wanted.format == "torch" else pods.plain)
    manifest = write_bundle(origin, parts_of(origin, chosen, wanted.half, wanted.format), output, wanted.again,
                            report=lambda text: typer.echo(text, err=True))
    return manifest, put(run.store, output, manifest) if run.store.uri.startswith("s3://") else None


def _by_job(run: "Run", chosen: "Chosen | None", wanted: _Wanted, output: Path, namespace: str | None,
            context: str | None) -> tuple[dict, str | None]:
    """Made by a Job, which measures the latency on the cluster's hardware, and fetched from the store."""
    from rich.console import Console

    from consort.cli.connecting import cluster_target, connect_for
    from consort.export.bundle_copy import fetch
    from consort.export.chosen import OF_MEMBERS
    from consort.export.formats import stored_as
    from consort.screen.live import Screen
    from consort.store import keys

    api = connect_for(run.store, namespace, context)
    with Screen(Console(stderr=True)) as screen:
        cluster_target(api, screen.listen).export(run, [*([chosen.id] if chosen else []), *wanted.options()])
    name = stored_as(chosen.id if chosen else OF_MEMBERS, wanted.format)
    place = keys.bundle(run.study.name, run.plan.run, name)
    return fetch(run.store, place, output), f"{run.store.uri.rstrip('/')}/{place}"


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
    wanted = decide(found, evidence, budget).candidate if budget else choice
    measured_in = next((latency.get("runtime", "torch") for latency in run.summary()["latencies"]), "torch")
    return chosen_of(candidate_of(found, wanted), measured_in)
