"""From image files to arrays, on all cores."""

import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from consort import hardware
from consort.data.findings import printable
from consort.data.image_folder import ImageFolder
from consort.data.pixels import MOST_PIXELS, decoded, examined
from consort.documents import sha256
from consort.errors import InputError

CHUNK = 1000
"""Images per task of a thread: large enough that starting a task costs nothing beside it."""

MOST_THREADS = 8
"""Pillow decodes without the interpreter's lock, but what is done around it needs it: more threads do not help."""

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""
REMEDY = "Repair or remove it, or set skip_unreadable = true in [data] to leave such images out."


Result = TypeVar("Result")


class SizesDiffer(InputError):
    """Images that are to be of one size are not."""


@dataclass(frozen=True)
class Examined:
    """An image that stays a file."""

    sha256: str
    shown_as_stored: bool


@dataclass(frozen=True)
class Unreadable:
    reason: str


def decode(data: bytes, size: int | None) -> np.ndarray:
    """uint8 [H, W, 3]; with `size`, the shorter side is resized to it and the centre is cropped square.

    Raises ValueError for bytes that are not a readable image, a decompression bomb included. For one thread at a time,
    since Python's warning filters are those of the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata or palettes: the image can be read all the same
        return _decode(data, size)


def _decode(data: bytes, size: int | None) -> np.ndarray:
    """`decode` where warnings are ignored already; for any number of threads."""
    image = decoded(data)
    try:
        return np.asarray(image if size is None or image.size == (size, size) else _square(image, size))
    except MemoryError as e:
        raise ValueError("there is not memory enough for it") from e


def _square(image: Image.Image, size: int) -> Image.Image:
    """The shorter side resized to `size`, the centre of the longer one."""
    scale = size / min(image.size)
    if max(image.size) * scale * size > MOST_PIXELS:  # a strip: most of it would be made large to be cut off
        image = _centre(image, min(image.width, 2 * image.height), min(image.height, 2 * image.width))
    image = image.resize((max(size, round(image.width * scale)), max(size, round(image.height * scale))),
                         Image.Resampling.BILINEAR)
    return _centre(image, size, size)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def decode_all(folder: ImageFolder, paths: Sequence[str], size: int | None, skip: bool,
               progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Decode images of one size: uint8 [N, H, W, 3], and the indices [N] of `paths` that were readable.

    Raises InputError naming the first unreadable image (unless `skip`), SizesDiffer naming the first of another size.
    """
    images: list[np.ndarray] = []
    readable: list[int] = []
    with closing(_each(folder, paths, lambda data: _decode(data, size), skip, progress)) as each:
        for index, image in each:
            if images and image.shape != images[0].shape:
                raise SizesDiffer(f"{folder.root}: {printable(paths[index])} has {_size(image)} pixels, "
                                  f"{printable(paths[readable[0]])} has {_size(images[0])}. Set image_size in [data] "
                                  "to bring all images to one size.")
            images.append(image)
            readable.append(index)
    if not images:
        raise InputError(f"{folder.root} has no readable image.")
    try:
        return np.stack(images), np.array(readable, dtype=np.int64)
    except MemoryError as e:
        gib = len(images) * images[0].nbytes / 2**30
        raise InputError(f"{folder.root}: {len(images):,} images of {_size(images[0])} pixels are {gib:.1f} GiB, more "
                         "than there is memory for. Set image_size in [data] to less, or to 224, from which on images "
                         "stay files.") from e


def examine_all(folder: ImageFolder, paths: Sequence[str], skip: bool, progress: Progress
                ) -> tuple[list[Examined], np.ndarray]:
    """Read images that stay files, and the indices [N] of `paths` that were readable; errors as decode_all's."""
    found = list(_each(folder, paths, lambda data: Examined(sha256(data), examined(data)), skip, progress))
    return [image for _, image in found], np.array([index for index, _ in found], dtype=np.int64)


def unreadable(folder: ImageFolder, path: str, reason: str, remedy: str) -> InputError:
    return InputError(f"{folder.root}: {printable(path)} is not a readable image: {reason.rstrip('.')}. {remedy}")


def _each(folder: ImageFolder, paths: Sequence[str], work: Callable[[bytes], Result], skip: bool, progress: Progress
          ) -> Generator[tuple[int, Result]]:
    """What `work` makes of every readable image, with its index, in order.

    In threads: processes would have to import the script that is running, which may be a notebook.
    """
    chunks = [list(paths[i:i + CHUNK]) for i in range(0, len(paths), CHUNK)]
    index = 0
    with warnings.catch_warnings(), ThreadPoolExecutor(min(hardware.cores(), MOST_THREADS)) as pool:
        warnings.simplefilter("ignore")
        waiting = [pool.submit(_chunk, folder, chunk, work) for chunk in chunks]
        try:
            for chunk, future in zip(chunks, waiting, strict=True):
                for path, result in zip(chunk, future.result(), strict=True):
                    if not isinstance(result, Unreadable):
                        yield index, result
                    elif not skip:
                        raise unreadable(folder, path, result.reason, REMEDY)
                    index += 1
                progress(index, len(paths))
        finally:
            for future in waiting:
                future.cancel()


def _chunk(folder: ImageFolder, paths: list[str], work: Callable[[bytes], Result]) -> list[Result | Unreadable]:
    done: list[Result | Unreadable] = []
    for path in paths:
        try:
            done.append(work(folder.read(path)))
        except ValueError as e:
            done.append(Unreadable(str(e)))
    return done


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
