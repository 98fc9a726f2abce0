"""How each member's training went, as small lines: the loss and the accuracy on validation, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 120, 26
"""Of a drawing, in pixels."""
MAX_POINTS = 60


@dataclass(frozen=True)
class Lines:
    """Paths of SVG, empty where there is nothing to draw."""

    loss: str
    accuracy: str
    words: str


def training_lines(members: Sequence[Mapping[str, Any]]) -> dict[str, Lines]:
    """Member -> its lines, for those whose history is known. All share their axes, so that they can be compared."""
    known = {member["id"]: member["history"] for member in members if member.get("history")}
    losses = [row["loss"] for history in known.values() for row in history]
    accuracies = [row["val_accuracy"] for history in known.values() for row in history
                  if row["val_accuracy"] is not None]
    epochs = max((row["epoch"] for history in known.values() for row in history), default=1)
    return {name: Lines(_path([(row["epoch"], row["loss"]) for row in history], epochs, losses),
                        _path([(row["epoch"], row["val_accuracy"]) for row in history
                               if row["val_accuracy"] is not None], epochs, accuracies), _words(history))
            for name, history in known.items()}


def _path(points: Sequence[tuple[int, float]], epochs: int, values: Sequence[float]) -> str:
    """A line through at most MAX_POINTS of the points, the last among them."""
    if len(points) < 2:
        return ""
    low, high = min(values), max(values)
    step = -(-len(points) // MAX_POINTS)
    kept = points[len(points) - 1::-step][::-1]
    return "M" + "L".join(f"{2 + (WIDTH - 4) * (epoch - 1) / max(epochs - 1, 1):.1f},"
                          f"{2 + (HEIGHT - 4) * (high - value) / ((high - low) or 1):.1f}" for epoch, value in kept)


def _words(history: Sequence[Mapping[str, Any]]) -> str:
    first, last = history[0], history[-1]
    accuracy = "" if last["val_accuracy"] is None else f", {100 * last['val_accuracy']:.2f} % on validation at the end"
    return f"loss {first['loss']:.3g} after the first epoch, {last['loss']:.3g} after epoch {last['epoch']}{accuracy}"
