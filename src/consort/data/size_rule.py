"""The one size to which images of several sizes are brought where nobody named one."""

from consort.data.sample import Sample

SIDES = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
"""Multiples of 8, so that networks which halve the image three times lose no border."""
WITHOUT_GPU = 64
"""The largest side that `consort init` proposes where there is no GPU: twice the side is four times the training."""
RULE = ("the side of the squares that most images are, or else the largest of " + ", ".join(map(str, SIDES))
        + " to which most need not be enlarged")


def chosen_side(sample: Sample, most: int = SIDES[-1]) -> int:
    """The side in pixels by RULE, at most `most`.

    What prepares data leaves `most` as it is: the same images have to be the same data on every machine.
    """
    if (common := sample.common_side) and SIDES[0] <= common <= most:
        return common
    return max((side for side in SIDES if side <= min(most, sample.shorter_side)), default=SIDES[0])
