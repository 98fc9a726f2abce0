"""Decoding an image folder or zip into the store, and opening it again.

    python benchmarks/decode.py path/to/cifar10.zip

Prints seconds of wall clock for a cold and a second preparation, and the ratio against one process that opens each
image with PIL in a loop (measured on a part of the images in the same run, and scaled). Before that, what threads gain
over one thread: photographs that are made smaller, whose decoding takes the time, and small images, where Python does.
"""

import argparse
import io
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from consort import hardware
from consort.data import decode
from consort.data.image_folder import ImageFolder
from consort.data.prepare import prepare
from consort.store import open_store
from consort.study.data import Data

LOOP_IMAGES = 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", help="an image zip; without one nothing is measured")
    source = parser.parse_args().source
    for side, count in ((400, 800), (32, 8000)):
        threads = min(hardware.cores(), decode.MOST_THREADS)
        print(f"{side} pixels: {threads} threads take {threads_share(side, count):.2f} of one thread's time")
    if source is None:
        print("no image zip named: python benchmarks/decode.py path/to/cifar10.zip")
        return
    with tempfile.TemporaryDirectory() as folder:
        store, data = open_store(folder), Data(source=str(source.resolve()))
        started = time.perf_counter()
        prepared = prepare(store, data, Path(), Path(folder))
        cold = time.perf_counter() - started
        started = time.perf_counter()
        prepare(store, data, Path(), Path(folder)).images("train")
        second = time.perf_counter() - started
    images = sum(prepared.counts.values())
    loop = plain_loop(source) * images / LOOP_IMAGES
    print(f"{images} images: prepared in {cold:.1f} s, opened again in {second:.2f} s")
    print(f"one process with a PIL loop: {loop:.1f} s (from {LOOP_IMAGES} images); ratio {loop / cold:.2f}")


def threads_share(side: int, count: int) -> float:
    """Seconds in threads over seconds in one thread, to decode JPEGs of this side to at most 64 pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            Image.fromarray(coarse + np.uint8(number % 256)).resize((side, side)).save(Path(folder) / f"{number}.jpg")
        paths = [f"{number}.jpg" for number in range(count)]
        seconds = []
        decode.CHUNK, most = 50, decode.MOST_THREADS
        for threads in (1, most):
            decode.MOST_THREADS = threads
            started = time.perf_counter()
            decode.decode_all(ImageFolder(Path(folder)), paths, min(side, 64), False, lambda done, total: None)
            seconds.append(time.perf_counter() - started)
    return seconds[1] / seconds[0]


def plain_loop(source: Path) -> float:
    """Seconds that a loop over the first images takes."""
    with zipfile.ZipFile(source) as archive:
        names = [n for n in archive.namelist() if n.endswith((".jpg", ".png"))][:LOOP_IMAGES]
        started = time.perf_counter()
        np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names])
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
