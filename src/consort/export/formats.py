"""What a bundle's model can be: one ONNX file for every runtime, or a program for those who stay in PyTorch."""

from dataclasses import dataclass
from typing import Any

from consort.export.running import model_of


@dataclass(frozen=True)
class ModelFormat:
    file: str
    """Its name in the bundle."""
    runtime: str
    """The package that runs it."""
    packages: tuple[str, ...]
    """What it was written with, whose versions count."""


FORMATS = {"onnx": ModelFormat("model.onnx", "onnxruntime", ("onnx", "onnxruntime")),
           "torch": ModelFormat("model.pt2", "torch", ("torch",))}


def format_of(manifest: dict[str, Any]) -> str:
    """Of FORMATS."""
    return next(name for name, known in FORMATS.items() if known.file == model_of(manifest))


def stored_as(candidate: str, format: str) -> str:
    """The name of a candidate's bundle; those of both formats stand beside each other, in a store and on a cluster."""
    return candidate if format == "onnx" else f"{candidate}-{format}"
