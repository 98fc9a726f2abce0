"""consort flops, latency and latency-table: what networks cost, before anything is trained."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, StudyArgument, open_store_at
from consort.plurals import counted

if TYPE_CHECKING:
    from consort.costs.conditions import Asked
    from consort.costs.records import LatencyRecord
    from consort.store import Store
    from consort.study.evaluation import Latency

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
    batch_size: Annotated[list[int] | None, typer.Option(
        min=1, help="Images per forward pass; may be repeated. By default 1, on a GPU 1, 8 and 64.",
        show_default=False)] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    runtime: Annotated[str | None, typer.Option(
        metavar="torch|graph|onnxruntime", help="graph: a CUDA graph, the default on a GPU; onnxruntime: as a bundle, "
        "on the CPU.", show_default=False)] = None,
    precision: Annotated[str, typer.Option(
        metavar="auto|bfloat16|float32", help="auto: bfloat16 where the hardware has it and is not slower in it.")
        ] = "auto",
    together: Annotated[bool, typer.Option(
        "--together", help="Also all of them at the same time, on a GPU; one that is named twice is two.")] = False,
    repeats: Annotated[int, typer.Option(min=3, help="Measured passes, after a warm-up.")] = 50,
    again: AgainOption = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Measure the milliseconds of a forward pass on this machine.

    Median and spread after a warm-up, kept in the store per hardware and version of the runtime.
    """
    from consort import hardware
    from consort.study.evaluation import Latency

    _refuse_unknown(runtime, precision)
    _refuse_repeated(batch_size or [])
    settings = Latency.model_validate({"batch_sizes": batch_size and tuple(batch_size), "threads": threads,
                                       "repeats": repeats, "runtime": runtime})
    asked = [_asked(name, settings, classes, input, precision) for name in dict.fromkeys(architectures)]
    opened, gpu = open_store_at(store), bool(hardware.gpus())
    records = _measured(opened, asked, gpu, again)
    if together:
        records.append(_measured_together(opened, asked, architectures, gpu, again))
    _print_latencies(records, as_json)


def _refuse_unknown(runtime: str | None, precision: str) -> None:
    from consort.errors import unknown_name

    for what, value, known in (("runtime", runtime, ("torch", "graph", "onnxruntime")),
                               ("precision", precision, ("auto", "bfloat16", "float32"))):
        if value is not None and value not in known:
            raise unknown_name(what, value, known)


def _refuse_repeated(batch_sizes: list[int]) -> None:
    from consort.errors import InputError

    if repeated := sorted({size for size in batch_sizes if batch_sizes.count(size) > 1}):
        raise InputError(f"--batch-size {repeated[0]} stands more than once: each batch size is measured once.")


def _asked(name: str, settings: "Latency", classes: int | None, input: str | None, precision: str) -> "Asked":
    """What is to be measured of a network; what was not said is as it was published with."""
    from consort.costs.conditions import Asked, Network, parse_size
    from consort.models.families import published

    default = published(name)
    size = (default.input_size, default.input_size) if input is None else parse_size(input, "--input")
    return Asked(settings, classes or default.classes, {name: Network(size, precision)})


def _measured(store: "Store", asked: list["Asked"], gpu: bool, again: bool) -> list["LatencyRecord"]:
    """A record for each network and batch size; the networks take turns."""
    from consort.costs.latency import find_or_measure_all

    records: list[LatencyRecord] = []
    for of_size in zip(*(one.conditions(gpu) for one in asked), strict=True):
        wanted = {name: conditions for one in of_size for name, conditions in one.items()}
        records += find_or_measure_all(store, wanted, asked[0].settings.repeats, again).values()
    return records


def _measured_together(store: "Store", asked: list["Asked"], members: list[str], gpu: bool, again: bool
                       ) -> "LatencyRecord":
    from consort.costs.latency import find_or_measure_at_once
    from consort.ensembles.composition import Composition
    from consort.errors import InputError

    if len(members) < 2:
        raise InputError("--together takes two networks or more; name one twice for two of its kind.")
    first = {name: conditions for one in asked for name, conditions in one.conditions(gpu)[0].items()}
    label = Composition(tuple((name, members.count(name)) for name in first)).label
    return find_or_measure_at_once(store, label, [(name, first[name]) for name in members], asked[0].settings.repeats,
                                   again)


def _print_latencies(records: list["LatencyRecord"], as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps([{**dataclasses.asdict(r), "images_per_second": round(r.images_per_second, 1)}
                          for r in records], indent=1))
        return
    print(f"{'name':28} {'input':>9} {'batch':>5} {'threads':>7} {'device':>6} {'precision':>9} {'runtime':>11} "
          f"{'median ms':>10} {'p10':>9} {'p90':>9} {'images/s':>10}")
    for r in records:
        print(f"{r.architecture:28} {r.input:>9} {r.batch_size:>5} {r.threads:>7} {r.device:>6} {r.precision:>9} "
              f"{r.runtime:>11} {r.median_ms:>10.3f} {r.p10_ms:>9.3f} {r.p90_ms:>9.3f} {r.images_per_second:>10,.0f}")


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
    print(f"{counted(len(table.pieces_ms), 'piece')} in {table.seconds:.0f} s: batch {table.batch_size}, "
          f"{counted(table.threads, 'thread')}, {table.device}, {table.precision}, hardware {table.hardware_id}\n"
          f"sums against {error['n']} networks measured whole: off by {error['mean_absolute_percent']:.1f} % in the "
          f"mean, {error['worst_percent']:+.1f} % at worst ({error['worst']})")
