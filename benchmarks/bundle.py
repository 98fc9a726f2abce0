"""Does a cascade's bundle cost what its multiply-adds promise? Its speed-up over asking all members, in onnxruntime on
one thread, beside the promise and the largest network alone.

    python benchmarks/bundle.py [--passes 30] [--share 0.3]

Networks have random weights and thresholds that send `--share` of the images on: what is measured is the graph. Passes
of the graphs alternate, and the clock stands still while another process has the core. Exits with 1 below 80 %.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from consort.costs.macs import count
from consort.export.combination import Combination
from consort.export.onnx_graph import Network, Normalisation, joined
from consort.export.running import open_session
from consort.models.families import build
from consort.models.onnx_export import to_onnx

LEAST = 0.8
CLASSES, SIZE = 10, (32, 32)
CASCADES = (("wrn-16-4", "wrn-16-4"), ("wrn-16-2", "wrn-16-4"), ("wrn-16-2", "wrn-16-2", "wrn-16-4"))
BATCHES = (1, 64)
IMAGES = 256


def pictures() -> np.ndarray:
    """Images [IMAGES, height, width, 3] of smooth random colours, so that networks differ in how sure they are."""
    small = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), dtype=np.uint8)
    return small.repeat(SIZE[0] // 4, axis=1).repeat(SIZE[1] // 4, axis=2)


def graph(names: Sequence[str], networks: dict[tuple[str, int], Any], combination: Combination, folder: Path) -> Any:
    """A session of the bundle's graph."""
    parts = [Network(networks[name, number], SIZE) for number, name in enumerate(names)]
    model = joined(parts, combination, Normalisation((0.5,) * 3, (0.25,) * 3), SIZE, CLASSES)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return open_session(folder)


def ensemble(count: int) -> Combination:
    return Combination((count,), "geometric", (1.0,))


def thresholds(names: Sequence[str], networks: dict[tuple[str, int], Any], images: np.ndarray, share: float,
               folder: Path) -> tuple[float, ...]:
    """Such that each stage sends about this share of what comes to it on."""
    found, left = [], images
    for asked in range(1, len(names)):
        session = graph(names[:asked], networks, ensemble(asked), folder)
        sure = np.concatenate([session.run(["probabilities"], {"images": left[i:i + 64]})[0].max(axis=1)
                               for i in range(0, len(left), 64)])
        found.append(float(np.quantile(sure, share)))
        left = left[sure < found[-1]]
    return tuple(found)


def milliseconds(sessions: dict[str, Any], images: np.ndarray, batch: int, passes: int) -> dict[str, float]:
    """Mean of an image, over passes that alternate between the sessions."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(passes + 3):
        start = number * batch % IMAGES
        chosen = images[start:start + batch]
        for name, session in sessions.items():
            started = time.thread_time()
            session.run(None, {"images": chosen})
            times[name].append(1000 * (time.thread_time() - started) / batch)
    return {name: float(np.mean(values[3:])) for name, values in times.items()}


def measure(names: Sequence[str], passes: int, share: float, folder: Path) -> float:
    """Print a line a batch size; the least of what was reached of the promise."""
    torch.manual_seed(0)
    networks = {(name, number): to_onnx(build(name, CLASSES), name, SIZE) for number, name in enumerate(names)}
    macs = [count(name, SIZE, CLASSES).macs for name in names]
    images = pictures()
    stops = thresholds(names, networks, images, share, folder)
    cascade = Combination((1,) * len(names), "geometric", (1.0,) * len(names), "probability", stops)
    sessions = {"cascade": graph(names, networks, cascade, folder),
                "all": graph(names, networks, ensemble(len(names)), folder),
                "single": graph(names[-1:], {(names[-1], 0): networks[names[-1], len(names) - 1]}, ensemble(1), folder)}
    reached = []
    for batch in BATCHES:
        used = passes * (8 if batch == 1 else 1)
        asked = sessions["cascade"].run(["members_asked"], {"images": images})[0]
        # the same images as the timed passes
        order = [(number * batch + i) % IMAGES for number in range(3, used + 3) for i in range(batch)]
        mean_macs = float(np.cumsum(macs)[asked[order] - 1].mean())
        promised = sum(macs) / mean_macs
        ms = milliseconds(sessions, images, batch, used)
        speed_up = ms["all"] / ms["cascade"]
        reached.append(speed_up / promised)
        print(f"{' > '.join(names)}, batch {batch}, n = {used} passes: cascade {ms['cascade']:.2f} ms an image, all "
              f"{ms['all']:.2f}, {names[-1]} alone {ms['single']:.2f}; {speed_up:.2f} times as fast as all, by MACs "
              f"{promised:.2f}: {reached[-1]:.0%} of the promise", flush=True)
    return min(reached)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=30, help="of 64 images; 8 times as many of one")
    parser.add_argument("--share", type=float, default=0.3, help="of images that a stage sends on")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        least = min(measure(names, asked.passes, asked.share, Path(folder)) for names in CASCADES)
    return int(least < LEAST)


if __name__ == "__main__":
    sys.exit(main())
