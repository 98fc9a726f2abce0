"""A network of a search drawn stage by stage, as SVG.

Heights are to scale of the feature maps' side, widths of the square root of the channels; every block is drawn.
"""

import math
from collections.abc import Iterator

from markupsafe import Markup, escape

from consort.space import networks
from consort.space.networks import MBCONV, MBCONV_SE, SKELETONS, WIDE, Stage

NAMES = {WIDE: "wide-residual", MBCONV: "MBConv", MBCONV_SE: "MBConv + SE"}
COLORS = {WIDE: "a0", MBCONV: "a4", MBCONV_SE: "a3"}
"""Kind of block -> colour class of page.css."""
_TALLEST, _ARCS, _LINE = 96.0, 18.0, 15.0
_PER_CHANNEL = 3.6
"""Pixels of width per square root of a channel."""
_GAP, _BETWEEN, _LETTER = 3.0, 22.0, 6.6


def drawing(name: str, side: int | None = None) -> Markup:
    """An SVG of the network; side: of its input in pixels, or None where only the proportions are known."""
    network = networks.parse(name)
    skeleton = SKELETONS[network.skeleton]
    parts, x, reduced = [], 0.0, skeleton.stem_stride
    scale = _TALLEST * skeleton.stem_stride  # the stem's output is the tallest there is
    for number, stage, stride in _numbered(network, skeleton.stem_width):
        reduced *= stride
        svg, width = _stage(number, stage, scale / reduced, _side_text(side, reduced), x)
        parts.append(svg)
        x += width + _BETWEEN
    parts.append(Markup('<text x="{}" y="{}">{}</text>').format(
        f"{x:.0f}", f"{_ARCS + _TALLEST / 2 + 4:.0f}", f"{skeleton.head_width} · classes" if skeleton.head_width
        else "classes"))
    width, height = x + 100, _ARCS + _TALLEST + 5 * _LINE
    return Markup('<svg class="network" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">'
                  '{parts}</svg>').format(w=math.ceil(width), h=math.ceil(height), label=described(name),
                                          parts=Markup("").join(parts))


def described(name: str) -> str:
    """The same in words, for those who do not see the drawing."""
    network = networks.parse(name)
    texts = [f"stage {number}: {stage.depth} {NAMES[stage.block]} of {stage.width} channels, {', '.join(_facts(stage))}"
             for number, stage in enumerate(network.stages, 1)]
    return f"{name}. {'; '.join(texts)}"


def _numbered(network: networks.Network, stem_width: int) -> Iterator[tuple[int, Stage | int, int]]:
    yield 0, stem_width, 1
    strides = SKELETONS[network.skeleton].strides
    yield from zip(range(1, len(strides) + 1), network.stages, strides, strict=True)


def _stage(number: int, stage: Stage | int, height: float, size: str, x: float) -> tuple[Markup, float]:
    """Blocks side by side around the middle line, what they are below; and the width that it takes."""
    lines = ["stem", f"{stage} channels", "3×3", "", size] if isinstance(stage, int) else _lines(stage, size)
    channels, depth = (stage, 1) if isinstance(stage, int) else (stage.width, stage.depth)
    color = "other" if isinstance(stage, int) else COLORS[stage.block]
    block = _PER_CHANNEL * math.sqrt(channels)
    width = max(depth * block + (depth - 1) * _GAP, _LETTER * max(map(len, lines)))
    top = _ARCS + (_TALLEST - height) / 2
    left = x + (width - depth * block - (depth - 1) * _GAP) / 2
    parts = [Markup("<title>{}</title>").format(", ".join(line for line in lines if line))]
    for index in range(depth):
        at = left + index * (block + _GAP)
        parts.append(Markup('<rect class="block" x="{}" y="{}" width="{}" height="{}"/>').format(
            f"{at:.1f}", f"{top:.1f}", f"{block:.1f}", f"{height:.1f}"))
        if isinstance(stage, Stage) and stage.skip and (stage.block == WIDE or index > 0):
            parts.append(Markup('<path class="skip" d="M{},{}q{},-16 {},0"/>').format(
                f"{at + 1:.1f}", f"{top - 2:.1f}", f"{block / 2 - 1:.1f}", f"{block - 2:.1f}"))
    for row, line in enumerate(lines):
        parts.append(Markup('<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            "first" if row == 0 else "", f"{x + width / 2:.1f}", f"{_ARCS + _TALLEST + (row + 1) * _LINE - 1:.1f}",
            escape(line)))
    return Markup('<g class="{}" data-stage="{}">{}</g>').format(color, number, Markup("").join(parts)), width


def _lines(stage: Stage, size: str) -> list[str]:
    facts = _facts(stage)
    return [NAMES[stage.block], f"{stage.depth} × {stage.width} channels", facts[0], ", ".join(facts[1:]), size]


def _facts(stage: Stage) -> list[str]:
    facts = [f"{stage.kernel}×{stage.kernel}"]
    if stage.expands:
        facts.append(f"expansion {stage.expansion}")
    return facts if stage.skip else [*facts, "no skip"]


def _side_text(side: int | None, reduced: int) -> str:
    if side is None:
        return "whole image" if reduced == 1 else f"1/{reduced} of its side"
    return f"at {-(-side // reduced)}×{-(-side // reduced)}"
