"""Does a cascade's bundle cost what its multiply-adds promise? Its speed-up over asking all members, in onnxruntime on
one thread, beside the promise and one member alone.

    python benchmarks/bundle.py [--passes 48] [--share 0.3]                     # networks with random weights
    python benchmarks/bundle.py --run quickstart/b78f626e2b --store STORE [--candidate c14]   # those of a run

Random networks get thresholds that send `--share` of the images on: what is measured is the graph. Of a run it is its
recommended cascade, or the named one, over its test images. Passes of the three graphs alternate, and the clock stands
still while another process has the core. The interval is of 95 %, from drawing passes anew (bootstrap). Exits with 1
where less than 80 % of the promise is reached.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from consort.cli.options import cache_folder, open_store_at
from consort.cli.planning import planned_study
from consort.costs.macs import count
from consort.data.prepared import open_prepared
from consort.export.bundle import Origin, onnx_bytes, parts_of
from consort.export.chosen import Chosen, candidate_of, chosen_of
from consort.export.combination import Combination
from consort.export.measured import split_images
from consort.export.onnx_graph import Network, joined
from consort.export.running import open_session
from consort.export.views import whole
from consort.models.families import build
from consort.models.onnx_export import to_onnx
from consort.run.choices import choices

LEAST = 0.8
CLASSES, SIZE = 10, (32, 32)
CASCADES = (("wrn-16-4", "wrn-16-4"), ("wrn-16-2", "wrn-16-4"), ("wrn-16-2", "wrn-16-2", "wrn-16-4"))
BATCHES = (1, 64)
IMAGES, WARM_UP = 256, 3


@dataclass(frozen=True)
class Trio:
    """A cascade, all its members at once, and the last of them alone, over images."""

    label: str
    single: str
    sessions: dict[str, Any]
    macs: Sequence[int]
    """Of the members, in the order asked."""
    images: Sequence[np.ndarray]


def session(model: bytes, folder: Path) -> Any:
    (folder / "model.onnx").write_bytes(model)
    return open_session(folder / "model.onnx")


def ensemble(count: int) -> Combination:
    return Combination((count,), "geometric", (1.0,))


def pictures() -> np.ndarray:
    """Images [IMAGES, height, width, 3] of smooth random colours, so that networks differ in how sure they are."""
    small = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), dtype=np.uint8)
    return small.repeat(SIZE[0] // 4, axis=1).repeat(SIZE[1] // 4, axis=2)


def graph(networks: Sequence[Any], combination: Combination, folder: Path) -> Any:
    view = whole(SIZE, (0.5,) * 3, (0.25,) * 3)
    parts = [Network(network, view) for network in networks]
    return session(joined(parts, combination, SIZE, CLASSES).SerializeToString(), folder)


def thresholds(networks: Sequence[Any], images: np.ndarray, share: float, folder: Path) -> tuple[float, ...]:
    """Such that each stage sends about this share of what comes to it on."""
    found, left = [], images
    for asked in range(1, len(networks)):
        answers = graph(networks[:asked], ensemble(asked), folder)
        sure = np.concatenate([answers.run(["probabilities"], {"images": left[i:i + 64]})[0].max(axis=1)
                               for i in range(0, len(left), 64)])
        found.append(float(np.quantile(sure, share)))
        left = left[sure < found[-1]]
    return tuple(found)


def random_trio(names: Sequence[str], share: float, folder: Path) -> Trio:
    torch.manual_seed(0)
    networks = [to_onnx(build(name, CLASSES), name, SIZE) for name in names]
    images = pictures()
    stops = thresholds(networks, images, share, folder)
    cascade = Combination((1,) * len(names), "geometric", (1.0,) * len(names), "probability", stops)
    sessions = {"cascade": graph(networks, cascade, folder), "all": graph(networks, ensemble(len(names)), folder),
                "single": graph(networks[-1:], ensemble(1), folder)}
    return Trio(" > ".join(names), names[-1], sessions, [count(name, SIZE, CLASSES).macs for name in names], images)


def trio_of_run(run: Path, store: str, candidate: str | None, folder: Path) -> Trio:
    planned = planned_study(open_store_at(store), run, Console(stderr=True)).run
    chosen = chosen_of(candidate_of(choices(planned)[0], candidate))
    if chosen.kind != "cascade":
        raise SystemExit(f"{chosen.id} is no cascade ({chosen.label}): name one with --candidate.")
    data = open_prepared(planned.store, planned.plan.data.fingerprint, cache_folder())
    origin = Origin(planned.store, data, planned.study.name, planned.plan.run, cache_folder())

    def of(chosen: Chosen) -> Any:
        return session(onnx_bytes(origin, parts_of(origin, chosen)), folder)

    last = replace(chosen, members=chosen.members[-1:], combination=ensemble(1))
    sessions = {"cascade": of(chosen), "all": of(replace(chosen, combination=ensemble(len(chosen.members)))),
                "single": of(last)}
    parts = parts_of(origin, chosen)
    return Trio(f"{chosen.id}: {' > '.join(r.architecture for r in parts.records)}", parts.records[-1].architecture,
                sessions, [record.macs for record in parts.records], split_images(data, "test", parts.views.rule))


def measure(trio: Trio, passes: int) -> float:
    """Print a line a batch size; the least of what was reached of the promise."""
    reached = []
    for batch in BATCHES:
        used = passes * (8 if batch == 1 else 1)
        times: dict[str, list[float]] = {name: [] for name in trio.sessions}
        macs = []
        for number in range(used + WARM_UP):
            chosen = np.stack([trio.images[(number * batch + i) % len(trio.images)] for i in range(batch)])
            for name, graph in trio.sessions.items():
                started = time.thread_time()
                _, asked = graph.run(["probabilities", "members_asked"], {"images": chosen})
                times[name].append(1000 * (time.thread_time() - started) / batch)
                if name == "cascade":
                    macs.append(float(np.cumsum(trio.macs)[asked - 1].mean()))
        ms = {name: np.array(values[WARM_UP:]) for name, values in times.items()}
        reached.append(told(trio, batch, ms, np.array(macs[WARM_UP:])))
    return min(reached)


def told(trio: Trio, batch: int, ms: dict[str, np.ndarray], macs: np.ndarray) -> float:
    """Print what passes took; what was reached of the promise. ms: milliseconds of an image, macs: of an image, each a
    number a pass."""
    def share(chosen: np.ndarray) -> float:
        return float(ms["all"][chosen].sum() / ms["cascade"][chosen].sum() * macs[chosen].mean() / sum(trio.macs))

    random, every = np.random.default_rng(0), np.arange(len(macs))
    low, high = np.quantile([share(random.choice(every, len(every))) for _ in range(2000)], [0.025, 0.975])
    mean = {name: float(values.mean()) for name, values in ms.items()}
    print(f"{trio.label}, batch {batch}, n = {len(macs)} passes: cascade {mean['cascade']:.3f} ms an image, all "
          f"{mean['all']:.3f}, {trio.single} alone {mean['single']:.3f}; {mean['all'] / mean['cascade']:.2f} times as "
          f"fast as all, by MACs {sum(trio.macs) / macs.mean():.2f}: {share(every):.0%} of the promise ({low:.0%} to "
          f"{high:.0%})", flush=True)
    return share(every)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=48, help="of 64 images; 8 times as many of one")
    parser.add_argument("--share", type=float, default=0.3, help="of images that a stage of random networks sends on")
    parser.add_argument("--run", type=Path, help="a run's name, whose cascade is measured")
    parser.add_argument("--store", default="consort-store", help="of the run")
    parser.add_argument("--candidate", help="a cascade of the run, by its id; by default the recommended one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.run:
            least = measure(trio_of_run(asked.run, asked.store, asked.candidate, folder), asked.passes)
        else:
            least = min(measure(random_trio(names, asked.share, folder), asked.passes) for names in CASCADES)
    return int(least < LEAST)


if __name__ == "__main__":
    sys.exit(main())
