"""Running a bundle: its manifest, its graph, images as it takes them, and milliseconds.

This file is part of every bundle, beside what uses it, and needs numpy, pillow and what runs the
bundle, onnxruntime or torch, alone.
"""

import hashlib
import json
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from consort.data.pixels import MOST_PIXELS, decoded
from consort.data.preprocessing import Preprocessing
from consort.models.onnx_session import open_graph
from consort.models.openvino_session import OpenVinoSession
from consort.models.torch_session import open_program

FORMAT = 1
_NUMBER = (int, float)
PARTS: dict[str, type | tuple[type, ...]] = {
    "name": str, "label": str, "members": list, "input.height": int, "input.width": int, "input.resize": list,
    "labels": list, "data.fingerprint": str, "data.test_images": (str, type(None)), "files": dict,
    "measured.test.accuracy": _NUMBER, "measured.test.low": _NUMBER, "measured.test.high": _NUMBER,
    "measured.test.asked": dict, "study_agreement.exact": bool, "study_agreement.same_class": _NUMBER,
    "latency.p50_ms": _NUMBER, "latency.p90_ms": _NUMBER, "latency.runtime": str, "latency.hardware.cpu": str,
    "versions.consort": str}
"""What running, verifying and serving read of a manifest, and what it must be."""
MODELS = {"model.onnx": "onnxruntime", "model.pt2": "torch"}
"""What a bundle's model may be called, and what runs it."""
RUNTIMES = ("onnxruntime", "openvino")
"""That run model.onnx."""
BATCH = 64
WARM_UP, REPEATS = 10, 200
"""Passes before any is timed, and timed ones."""


class BundleError(Exception):
    """This is no bundle that can be verified here, or what it was to be verified with cannot be read."""


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest of a bundle's folder. Raises BundleError for what is none, and for one of a newer format."""
    path = bundle / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        newer = int(manifest["format"])
    except FileNotFoundError:
        raise BundleError(f"{bundle} is not a bundle: it has no manifest.json. `consort export` writes one.") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
        raise BundleError(f"{path} is not a readable manifest ({type(e).__name__}: {e}). Export it again.") from e
    if newer > FORMAT:
        raise BundleError(f"{path} has format {newer}, and this verifier reads up to {FORMAT}: use the verify.py of "
                          "the bundle, or a newer Consort.")
    if lacking := [part for part, kind in PARTS.items() if not isinstance(_part(manifest, part), kind)]:
        raise BundleError(f"{path} is no whole manifest: it lacks {', '.join(lacking)}, or has something else "
                          "there. Export it again.")
    if model_of(manifest) not in manifest["files"] or model_of(manifest) not in MODELS:
        raise BundleError(f"{path} lists no model among its files: {' or '.join(MODELS)}. Export it again.")
    return manifest


def model_of(manifest: dict[str, Any]) -> str:
    """The name of the model's file: the one that was hashed and measured, whatever else lies in the folder."""
    return str(manifest.get("model", "model.onnx"))  # manifests of before there were two do not say


def sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _part(manifest: Any, part: str) -> Any:
    """What a manifest has under a name like `latency.runtime`; `...` where it has nothing."""
    for name in part.split("."):
        if not isinstance(manifest, dict) or name not in manifest:
            return ...
        manifest = manifest[name]
    return manifest


def open_session(model: Path, threads: int = 1, runtime: str | None = None) -> Any:
    """A bundle's model, ready to run on `threads` threads of the CPU; BundleError where it cannot be loaded.

    runtime: onnxruntime, openvino or torch; None: what a model of this name is measured in.
    """
    of_name = MODELS[model.name]
    runtime = runtime or of_name
    if (runtime == "torch") != (of_name == "torch"):
        raise BundleError(f"{runtime} does not read {model}: {of_name} does.")
    try:
        if runtime == "torch":
            return open_program(model, threads)
        return (OpenVinoSession if runtime == "openvino" else open_graph)(str(model), threads)
    except ImportError as e:
        raise BundleError(f"running this bundle needs {runtime}: pip install {runtime} numpy pillow.") from e
    except Exception as e:  # the runtimes' errors have no common class
        said = str(e).strip() or type(e).__name__
        raise BundleError(f"{model} cannot be loaded: {said.splitlines()[0]}") from e


def read_image(data: bytes, rule: dict[str, Any]) -> np.ndarray:
    """uint8 [height, width, 3] as the bundle takes it, from the bytes of a JPEG, PNG, ... file.

    rule: the manifest's `input`, whose `rule` says in words what is done. Raises ValueError for what is no readable
    image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata or palettes: the image can be read all the same
        image = decoded(data)
    return fitted(image, rule)


def read_image_file(file: Path, rule: dict[str, Any]) -> np.ndarray:
    """As `read_image`; raises BundleError where it is no file of an image."""
    try:
        return read_image(file.read_bytes(), rule)
    except (OSError, ValueError) as e:
        raise _unread(str(file), e) from e


def _unread(name: str, error: OSError | ValueError) -> BundleError:
    said = getattr(error, "strerror", None) or error
    return BundleError(f"{name} cannot be read as an image: {said}. Name files that each hold a whole image, such as "
                       "JPEG or PNG.")


def fitted(image: Image.Image, rule: dict[str, Any]) -> np.ndarray:
    """uint8 [height, width, 3] of an image in RGB; see `read_image`."""
    height, width = rule["resize"]
    if "fit" in rule:  # as published weights want it
        how = Preprocessing((height, width), (rule["height"], rule["width"]), rule["fit"], rule["interpolation"],
                            fill=tuple(rule["fill"]))
        return how.pixels(np.asarray(image))
    if image.size != (width, height):
        scale = max(height / image.height, width / image.width)
        if image.height * image.width * scale**2 > MOST_PIXELS:  # a strip: most of it would be made large to be cut off
            kept = round(2 * height / scale), round(2 * width / scale)
            image = _centre(image, min(image.height, kept[0]), min(image.width, kept[1]))
        image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))),
                             Image.Resampling.BILINEAR)
    image = _centre(_centre(image, height, width), rule["height"], rule["width"])
    return np.asarray(image)


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def run(session: Any, images: Sequence[np.ndarray], batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 [N, classes] and members_asked int32 [N] of N images."""
    parts = [session.run(["probabilities", "members_asked"], {"images": np.stack(images[i:i + batch])})
             for i in range(0, len(images), batch)]
    return np.concatenate([p for p, _ in parts]), np.concatenate([a for _, a in parts])


def latencies_ms(session: Any, images: Sequence[np.ndarray], batch: int = 1, repeats: int = REPEATS,
                 clock: Callable[[], float] = time.thread_time) -> np.ndarray:
    """Milliseconds of passes over `batch` images each, one after another, after a warm-up, on one thread.

    The clock stands still while another process has the core; time.process_time for a runtime whose one thread is
    another than the caller's.
    """
    times = []
    for number in range(WARM_UP + repeats):
        chosen = np.stack([images[(number * batch + i) % len(images)] for i in range(batch)])
        started = clock()
        session.run(None, {"images": chosen})
        times.append(1000 * (clock() - started))
    return np.array(times[WARM_UP:])


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


class ImageFiles(Sequence[np.ndarray]):
    """Image files, read and brought to the bundle's size when they are asked for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], bytes], rule: dict[str, Any]) -> None:
        self.names, self.read, self.rule = names, read, rule

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        try:
            return read_image(self.read(self.names[index]), self.rule)
        except (OSError, ValueError) as e:
            raise _unread(self.names[index], e) from e
