"""What stands beside the model in a bundle: the programs that run it, and what servers want to know of it."""

import platform
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from consort import hardware
from consort.export.formats import FORMATS, format_of, stored_as
from consort.store import keys

_OF_ROOMS = {
    "consort": ("cores.py", "plurals.py"), "consort.data": ("pixels.py", "preprocessing.py"),
    "consort.models": ("onnx_session.py", "openvino_session.py", "torch_session.py"),
    "consort.export": ("running.py", "labelled_images.py", "verify.py", "batching.py", "counts.py", "tensors.py",
                       "connections.py", "serving.py", "page.html")}
PROGRAMS = {name: package for package, names in _OF_ROOMS.items() for name in names}
"""Modules that need nothing else of Consort: a bundle has copies."""
_OF_ALL = {"predict.py.in": "predict.py", "Dockerfile": "serve/Dockerfile", "deployment.yaml": "serve/deployment.yaml"}
TEMPLATES = {"onnx": _OF_ALL | {"README.md": "README.md", "kserve.yaml": "serve/kserve.yaml",
                                "config.pbtxt": "serve/config.pbtxt"},
             "torch": _OF_ALL | {"README-torch.md": "README.md"}}
"""By format: KServe and Triton are given ONNX."""


def write(folder: Path, manifest: dict[str, Any], store_uri: str, image: str) -> None:
    """Write all of them for the bundle that the manifest describes. image: Consort's, which the Deployment runs."""
    for name, package in PROGRAMS.items():
        (folder / name).write_text(standing_alone(files(package).joinpath(name).read_text()))
    values = _values(manifest, store_uri, image)
    for name, target in TEMPLATES[format_of(manifest)].items():
        path = folder / target
        path.parent.mkdir(exist_ok=True)
        text = files("consort.export").joinpath("templates", name).read_text()
        path.write_text(Template(text).substitute(values))


def standing_alone(source: str) -> str:
    """A module that imports the others of PROGRAMS from beside it."""
    names = "|".join(name.removesuffix(".py") for name in PROGRAMS)
    return re.sub(rf"^( *)from consort\.(?:\w+\.)?({names}) import", r"\1from \2 import", source, flags=re.MULTILINE)


def service_name(manifest: dict[str, Any]) -> str:
    """The bundle's name as a DNS label."""
    return re.sub(r"[^a-z0-9]+", "-", manifest["name"].lower()).strip("-")[:50].strip("-")


def place_in_store(manifest: dict[str, Any]) -> str:
    return keys.bundle(manifest["study"], manifest["run"], stored_as(manifest["candidate"], format_of(manifest)))


def _requirements(runtime: str, version: str) -> str:
    """What the server needs, as pip reads it: in the versions of this machine, where they are installed."""
    versions = hardware.versions(("pillow", "starlette", "uvicorn")) | {runtime: version}
    return " ".join(f"{name}=={versions[name]}" if name in versions else name
                    for name in (runtime, "numpy", "pillow", "starlette", "uvicorn"))


def _values(manifest: dict[str, Any], store_uri: str, image: str) -> dict[str, str]:
    test, latency, rule = manifest["measured"]["test"], manifest["latency"], manifest["input"]
    runtime, version = FORMATS[format_of(manifest)].runtime, latency["runtime_version"].partition("+")[0]
    bucket = store_uri.rstrip("/") if store_uri.startswith("s3://") else "s3://BUCKET"
    return {"name": service_name(manifest), "label": manifest["label"], "study": manifest["study"],
            "run": manifest["run"], "height": rule["height"], "width": rule["width"],
            "classes": len(manifest["labels"]), "images": f"{test['images']:,}", "accuracy": f"{test['accuracy']:.2%}",
            "low": f"{test['low']:.2%}", "high": f"{test['high']:.2%}", "macs": f"{test['mean_macs']:,}",
            "p50": f"{latency['p50_ms']:.3g}", "p90": f"{latency['p90_ms']:.3g}", "cpu": latency["hardware"]["cpu"],
            "runtime": runtime, "runtime_version": version, "requirements": _requirements(runtime, version),
            "image": image,
            "python": ".".join(platform.python_version_tuple()[:2]),
            "uri": f"{bucket}/{place_in_store(manifest)}"}
