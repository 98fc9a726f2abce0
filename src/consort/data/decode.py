"""From image files to arrays, on all cores."""

import io
import os
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from PIL import Image, UnidentifiedImageError

from consort.data.image_folder import ImageFolder
from consort.errors import InputError

CHUNK = 1000
"""Images per task of the pool: large enough that starting a task costs nothing beside it."""

POOL_FROM = 5
"""Chunks from which starting worker processes is worth their second of start-up."""

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


def decode(data: bytes, size: int | None) -> np.ndarray:
    """uint8 [H, W, 3]; with `size`, the shorter side is resized to it and the centre is cropped square.

    Raises ValueError for bytes that are not a readable image, a decompression bomb included.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata or palettes: the image can be read all the same
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG")).convert("RGB")
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError,
                Image.DecompressionBombWarning) as e:
            raise ValueError(str(e)) from e
    if size is not None and image.size != (size, size):
        scale = size / min(image.size)
        image = image.resize((max(size, round(image.width * scale)), max(size, round(image.height * scale))),
                             Image.Resampling.BILINEAR)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image)


def decode_all(folder: ImageFolder, paths: Sequence[str], size: int | None, skip: bool,
               progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Decode images of one size: uint8 [N, H, W, 3], and the indices [N] of `paths` that were readable.

    Raises InputError naming the first unreadable image (unless `skip`) or the first of another size.
    """
    chunks = [list(paths[i:i + CHUNK]) for i in range(0, len(paths), CHUNK)]
    images: list[np.ndarray] = []
    readable: list[int] = []
    done = 0
    for chunk, decoded in zip(chunks, _decode_chunks(folder, chunks, size), strict=True):
        for path, image in zip(chunk, decoded, strict=True):
            done += 1
            if isinstance(image, str):
                if not skip:
                    raise InputError(f"{folder.root}: {path} is not a readable image: {image}. Repair or remove it, or "
                                     "set skip_unreadable = true in [data] to leave such images out.")
                continue
            if images and image.shape != images[0].shape:
                raise InputError(f"{folder.root}: {path} has {_size(image)} pixels, {paths[readable[0]]} has "
                                 f"{_size(images[0])}. Set image_size in [data] to bring all images to one size.")
            images.append(image)
            readable.append(done - 1)
        progress(done, len(paths))
    if not images:
        raise InputError(f"{folder.root} has no readable image.")
    return np.stack(images), np.array(readable, dtype=np.int64)


def _decode_chunks(folder: ImageFolder, chunks: list[list[str]],
                   size: int | None) -> Iterator[list[np.ndarray | str]]:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(chunks) < POOL_FROM or workers == 1:
        yield from (_decode_chunk(folder, size, chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (folder, size)) as pool:
        yield from pool.map(_decode_in_worker, chunks)


_worker: tuple[ImageFolder, int | None]
"""In a worker process: what all its tasks share, so that a zip's directory is read once per process."""


def _start_worker(folder: ImageFolder, size: int | None) -> None:
    global _worker
    _worker = (folder, size)


def _decode_in_worker(paths: list[str]) -> list[np.ndarray | str]:
    return _decode_chunk(*_worker, paths)


def _decode_chunk(folder: ImageFolder, size: int | None, paths: list[str]) -> list[np.ndarray | str]:
    """An array per image, or the reason why it cannot be read."""
    decoded: list[np.ndarray | str] = []
    for path in paths:
        try:
            decoded.append(decode(folder.read(path), size))
        except (ValueError, OSError) as e:
            decoded.append(str(e))
    return decoded


def typical_side(folder: ImageFolder, paths: Sequence[str], sample: int = 50) -> int:
    """The median of the shorter sides of a spread sample of the images, in pixels; 0 where none is readable."""
    sides = [0]
    for path in paths[::max(1, len(paths) // sample)]:
        try:
            with Image.open(io.BytesIO(folder.read(path)), formats=("JPEG", "PNG")) as image:
                sides.append(min(image.height, image.width))
        except (OSError, ValueError, UnidentifiedImageError):
            continue
    return statistics.median_low(sides[1:] or sides)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
