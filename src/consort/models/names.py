"""What can be known of an architecture from its name alone, without torch."""

import re

from consort.errors import InputError

SCALES_ITS_INPUT = ("inception_v3", "googlenet")
"""torchvision's networks whose pretrained weights want an input that the network scales once more
(`transform_input`)."""

_WIDE_RESNET = re.compile(r"wrn-(\d+)-(\d+)")


def wide_resnet(name: str) -> tuple[int, int] | None:
    """(depth, width) of `wrn-<depth>-<width>`, or None for another kind of name; InputError for an impossible size."""
    match = _WIDE_RESNET.fullmatch(name)
    if match is None:
        return None
    depth, width = int(match[1]), int(match[2])
    if depth < 10 or (depth - 4) % 6 or width < 1:
        raise InputError(f"{name}: a wide residual network has depth 6n+4 (10, 16, 22, 28, 40, ...) and width 1 or "
                         f"more, got depth {depth} and width {width}.")
    return depth, width
