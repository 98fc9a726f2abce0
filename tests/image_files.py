"""Small real images for tests, as files in a folder or in a zip."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Random pixels, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    return saved(Image.fromarray(pixels), form)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def image_set(train: int = 10, test: int = 3, classes: tuple[str, ...] = ("cat", "dog"), height: int = 8,
              width: int = 8) -> dict[str, bytes]:
    """Path -> PNG, with `train` and `test` images per class, all different."""
    files, seed = {}, 0
    for split, count in (("train", train), ("test", test)):
        for label in classes:
            for index in range(count):
                files[f"{split}/{label}/{index:03d}.png"] = encoded(picture(seed, height, width))
                seed += 1
    return files


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
