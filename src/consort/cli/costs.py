"""consort flops, latency and latency-table: what networks cost, before anything is trained."""

import dataclasses
from typing import Annotated

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, StudyArgument, open_store_at

Architectures = Annotated[list[str], typer.Argument(
    metavar="ARCH...", help="wrn-<depth>-<width>, torchvision's names, timm:<name>.", show_default=False)]
InputOption = Annotated[str | None, typer.Option(
    "--input", metavar="HxW", help="Image size; by default the one it was published with.", show_default=False)]
AgainOption = Annotated[bool, typer.Option("--again", help="Measure even where the store has it.")]
ClassesOption = Annotated[int | None, typer.Option(
    "--classes", min=1, help="Number of classes; by default as published.", show_default=False)]


def flops(
    architectures: Architectures,
    input: InputOption = None,
    classes: ClassesOption = None,
    layers: Annotated[bool, typer.Option("--layers", help="List the MACs of every layer.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count the MACs, FLOPs and parameters of networks.

    One forward pass of one image: multiply-adds (MACs) of convolutions and matrix products, FLOPs = 2 x MACs.
    """
    from consort.costs.conditions import parse_size
    from consort.costs.macs import count

    size = None if input is None else parse_size(input, "--input")
    costs = [count(name, size, classes) for name in architectures]
    if as_json:
        import json

        print(json.dumps([{"name": c.name, "input": c.input, "classes": c.classes, "macs": c.macs, "flops": c.flops,
                           "params": c.params, "uncounted": c.uncounted}
                          | ({"layers": c.layers} if layers else {}) for c in costs], indent=1))
        return
    print(f"{'name':28} {'input':>9} {'classes':>7} {'M MACs':>12} {'M FLOPs':>12} {'params':>13}")
    for c in costs:
        print(f"{c.name:28} {c.input:>9} {c.classes:>7} {c.macs / 1e6:>12,.3f} {c.flops / 1e6:>12,.3f} {c.params:>13,}")
        for path, macs in c.layers.items() if layers else ():
            print(f"  {path:46} {macs / 1e6:>12,.3f}")
    names = sorted({name for c in costs for name in c.uncounted})
    print(f"not counted (elementwise and pooling): {', '.join(names)}")


def latency(
    architectures: Architectures,
    input: InputOption = None,
    classes: ClassesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    runtime: Annotated[str, typer.Option(metavar="torch|onnxruntime", help="onnxruntime: as a bundle, on the CPU.")
                       ] = "torch",
    repeats: Annotated[int, typer.Option(min=3, help="Measured passes, after a warm-up.")] = 50,
    again: AgainOption = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Measure the milliseconds of a forward pass on this machine.

    Median and spread after a warm-up, kept in the store per hardware and version of the runtime.
    """
    from consort.costs.conditions import Conditions, parse_size
    from consort.costs.latency import find_or_measure_all
    from consort.errors import unknown_name
    from consort.models.families import published

    if runtime not in ("torch", "onnxruntime"):
        raise unknown_name("runtime", runtime, ("torch", "onnxruntime"))
    opened = open_store_at(store)
    wanted = {}
    for name in architectures:
        default = published(name)
        size = (default.input_size, default.input_size) if input is None else parse_size(input, "--input")
        wanted[name] = Conditions(size, classes or default.classes, batch_size, threads, runtime=runtime)
    records = list(find_or_measure_all(opened, wanted, repeats, again).values())
    if as_json:
        import json

        print(json.dumps([dataclasses.asdict(r) for r in records], indent=1))
        return
    print(f"{'name':28} {'input':>9} {'batch':>5} {'threads':>7} {'device':>6} {'precision':>9} {'median ms':>10} "
          f"{'p10':>9} {'p90':>9}")
    for r in records:
        print(f"{r.architecture:28} {r.input:>9} {r.batch_size:>5} {r.threads:>7} {r.device:>6} {r.precision:>9} "
              f"{r.median_ms:>10.3f} {r.p10_ms:>9.3f} {r.p90_ms:>9.3f}")


def latency_table(
    study: StudyArgument,
    again: AgainOption = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Measure the milliseconds of the blocks of a STUDY's search space on this machine.

    A search with source = "table" adds them up. Kept in the store per hardware; measured by the search itself where it
    is missing.
    """
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.search.latencies import measure_table
    from consort.search.trials import search_of

    opened = open_store_at(store)
    run = planned_study(opened, study, Console(stderr=True)).run
    search_of(run.plan)
    table = measure_table(run, again)
    if as_json:
        import json

        print(json.dumps(dataclasses.asdict(table), indent=1))
        return
    for piece, ms in table.pieces_ms.items():
        print(f"{piece:44} {ms:>10.4f} ms")
    error = table.error
    print(f"{len(table.pieces_ms)} pieces in {table.seconds:.0f} s: batch {table.batch_size}, {table.threads} "
          f"thread(s), {table.device}, {table.precision}, hardware {table.hardware_id}\n"
          f"sums against {error['n']} networks measured whole: off by {error['mean_absolute_percent']:.1f} % in the "
          f"mean, {error['worst_percent']:+.1f} % at worst ({error['worst']})")
