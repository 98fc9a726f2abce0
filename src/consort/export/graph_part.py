"""A part of an ONNX graph, and the nodes in it that make of a bundle's images what a network sees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from consort.export.views import WHOLE, View

FINE = 2**8
"""What the lower bits of a weight count to; see `_levels`."""


class Part:
    """Nodes and constants of a graph, or of a branch, whose names all begin alike."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One more node; the name of its output."""
        name = self.prefix + output
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        name = self.prefix + name
        self.initializers.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name


def seen(part: Part, images: str, view: View, name: str) -> str:
    """The name of float32 [n, 3, height, width] with mean 0 and deviation 1 per channel, as a network takes them, from
    uint8 [n, height, width, 3]."""
    x = part.add("Transpose", [images], f"{name}_channels", perm=[0, 3, 1, 2])
    x = part.add("Cast", [x], f"{name}_float", to=TensorProto.FLOAT)
    x = _bordered(part, _resized(part, _cut(part, x, view, name), view, name), view, name)
    # as data.augment.Normalise
    mean, std = (np.array(values, dtype=np.float32).reshape(3, 1, 1) for values in (view.mean, view.std))
    scale = part.constant(f"{name}_scale", np.float32(1) / (np.float32(255) * std), np.float32)
    shift = part.constant(f"{name}_shift", -mean / std, np.float32)
    return part.add("Add", [part.add("Mul", [x, scale], f"{name}_scaled"), shift], name)


def _cut(part: Part, x: str, view: View, name: str) -> str:
    """Along sides that are not resized: the pixels that are seen."""
    cuts = [(axis, *side.inner) for axis, side in ((2, view.rows), (3, view.columns))
            if side.as_it_is and side.inner != (0, side.source)]
    if not cuts:
        return x
    axes, begins, ends = (part.constant(f"{name}_cut_{what}", values, np.int64)
                          for what, values in zip(("axes", "begins", "ends"), zip(*cuts, strict=True), strict=True))
    return part.add("Slice", [x, begins, ends, axes], f"{name}_cut")


def _resized(part: Part, x: str, view: View, name: str) -> str:
    """As Pillow resizes: along one side and then along the other, rounded to whole levels after each. With matrices,
    because runtimes differ in what their own operator for it smooths, and where it rounds."""
    sides = (("wide", view.columns), ("high", view.rows))
    for what, side in sides if view.columns_first else reversed(sides):
        if not side.as_it_is:
            x = _levels(part, x, side.weights(view.interpolation), what == "wide", f"{name}_{what}")
    return x


def _levels(part: Part, x: str, weights: np.ndarray, across: bool, name: str) -> str:
    """Images whose width (across) or height is another by these weights, halves rounded up, within 0 to 255.

    Exact in float32, in any order: weights are split into their upper 14 and lower 8 bits, so that no sum of either
    needs more than 24. Where a level is all but halfway, these decide.
    """
    weights = weights if across else weights.T
    upper = (weights + FINE // 2) // FINE * FINE
    sums = []
    for what, values in (("upper", upper), ("lower", weights - upper)):
        matrix = part.constant(f"{name}_{what}_weights", values / WHOLE, np.float32)
        sums.append(part.add("MatMul", [x, matrix] if across else [matrix, x], f"{name}_{what}"))
    half, least, most = (part.constant(f"{name}_{what}", value, np.float32)
                         for what, value in (("half", 0.5), ("least", 0), ("most", 255)))
    raised = part.add("Add", [sums[0], half], f"{name}_raised")
    whole = part.add("Floor", [raised], f"{name}_whole")
    rest = part.add("Add", [part.add("Sub", [raised, whole], f"{name}_fraction"), sums[1]], f"{name}_rest")
    rounded = part.add("Add", [whole, part.add("Floor", [rest], f"{name}_carry")], f"{name}_rounded")
    return part.add("Clip", [rounded, least, most], f"{name}_levels")


def _bordered(part: Part, x: str, view: View, name: str) -> str:
    """In the middle of `fill`, where the image is smaller than what the network takes."""
    (above, below), (left, right) = view.rows.border, view.columns.border
    if not any((above, below, left, right)):
        return x
    fill = part.constant(f"{name}_fill", np.reshape(view.fill, (3, 1, 1)), np.float32)
    pads = part.constant(f"{name}_pads", [0, 0, above, left, 0, 0, below, right], np.int64)
    inner = part.add("Sub", [x, fill], f"{name}_above_fill")
    return part.add("Add", [part.add("Pad", [inner, pads], f"{name}_framed"), fill], f"{name}_bordered")
