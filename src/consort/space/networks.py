"""Networks of a search space: stages of blocks, and the names `net-...` that say all about them. No torch here.

A name is `net-<skeleton>-<stage>-<stage>...`, for example `net-s-w16d2k3-m24d1k5e4-q32d2k3e6n`:
s, l       the skeleton: s for 32x32 images (3 stages), l for 224x224 (7 stages, as in MnasNet, Tan et al. 2019, fig. 4)
w, m, q    the blocks of a stage: wide-residual, MBConv, MBConv with squeeze-excitation; then the output channels
d, k, e    depth (blocks in the stage), kernel side, expansion of an MBConv
n          no residual connections
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from consort.errors import InputError

PREFIX = "net-"
WIDE, MBCONV, MBCONV_SE = "wide", "mbconv", "mbconv-se"
BLOCKS = {WIDE: "w", MBCONV: "m", MBCONV_SE: "q"}
"""Kind of block -> its letter in names."""
KERNELS = (3, 5, 7)
MAX_WIDTH, MAX_DEPTH, MAX_EXPANSION = 2048, 9, 9
ALLOWED: dict[str, Sequence] = {
    "block": tuple(BLOCKS), "width": range(1, MAX_WIDTH + 1), "depth": range(1, MAX_DEPTH + 1), "kernel": KERNELS,
    "expansion": range(1, MAX_EXPANSION + 1), "skip": (True, False)}
"""Field of a stage -> the values that a name can say."""

_STAGE = re.compile(r"([wmq])([1-9][0-9]{0,3})d([1-9])k([357])(?:e([1-9]))?(n?)")


@dataclass(frozen=True)
class Skeleton:
    """What all networks of one input size have in common."""

    letter: str
    input_size: int
    """Side in pixels that the skeleton is made for; others work too."""
    classes: int
    stem_width: int
    stem_stride: int
    strides: tuple[int, ...]
    """Of the first block of each stage."""
    head_width: int | None
    """Channels of a 1x1 convolution before the classifier, or None for none."""


SKELETONS = {"small": Skeleton("s", 32, 10, 16, 1, (1, 2, 2), None),
             "large": Skeleton("l", 224, 1000, 32, 2, (1, 2, 2, 2, 1, 2, 1), 1280)}
_OF_LETTER = {skeleton.letter: name for name, skeleton in SKELETONS.items()}


def expands(block: str) -> bool:
    """Whether `expansion` means something in a stage of such blocks: a wide-residual block has none."""
    return block != WIDE


def repeats(block: str, depth: int) -> bool:
    """Whether `skip` means something: an MBConv has its residual connection in blocks that keep the shape, which a
    stage of one block has none of; a wide-residual block projects."""
    return block == WIDE or depth > 1


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind and width; the first one has the stage's stride."""

    block: str
    width: int
    depth: int
    kernel: int
    expansion: int = 1
    skip: bool = True

    @property
    def expands(self) -> bool:
        return expands(self.block)

    @property
    def repeats(self) -> bool:
        return repeats(self.block, self.depth)

    def repaired(self) -> "Stage":
        """The same stage with every value that means nothing at its default, so that equal networks are equal."""
        return Stage(self.block, self.width, self.depth, self.kernel, self.expansion if self.expands else 1,
                     self.skip or not self.repeats)

    @property
    def text(self) -> str:
        expansion = f"e{self.expansion}" if self.expands else ""
        return (f"{BLOCKS[self.block]}{self.width}d{self.depth}k{self.kernel}{expansion}"
                f"{'' if self.skip else 'n'}")


@dataclass(frozen=True)
class Network:
    """A skeleton and its stages, repaired."""

    skeleton: str
    stages: tuple[Stage, ...]

    @property
    def name(self) -> str:
        return PREFIX + "-".join([SKELETONS[self.skeleton].letter, *(stage.text for stage in self.stages)])


def network(skeleton: str, stages: tuple[Stage, ...]) -> Network:
    """The network of these stages, repaired."""
    return Network(skeleton, tuple(stage.repaired() for stage in stages))


def is_name(name: str) -> bool:
    """Whether this is meant as the name of such a network."""
    return name.startswith(PREFIX)


def parse(name: str) -> Network:
    """The network of a name.

    Raises InputError with the rule for a name that is none, and for one with a part that means nothing: a network has
    one name.
    """
    letter, *parts = name.removeprefix(PREFIX).split("-")
    if not is_name(name) or letter not in _OF_LETTER:
        raise InputError(f"{name}: a searched network's name begins with net-s- (32x32) or net-l- (224x224).")
    skeleton = _OF_LETTER[letter]
    expected = len(SKELETONS[skeleton].strides)
    if len(parts) != expected:
        raise InputError(f"{name}: a network of the skeleton {skeleton!r} has {expected} stages, got {len(parts)}.")
    parsed = Network(skeleton, tuple(_stage(name, part) for part in parts))
    repaired = network(skeleton, parsed.stages)
    if repaired.name != name:
        raise InputError(f"{name}: a part of it means nothing (n where no block keeps its shape); the network's name "
                         f"is {repaired.name}.")
    return parsed


def _stage(name: str, text: str) -> Stage:
    match = _STAGE.fullmatch(text)
    block = {letter: block for block, letter in BLOCKS.items()}.get(match[1]) if match else None
    if match is None or block is None or (match[5] is None) != (block == WIDE) or int(match[2]) > MAX_WIDTH:
        raise InputError(f"{name}: the stage {text!r} cannot be read. A stage is w<channels>d<1-9>k<3|5|7>, or m or q "
                         f"with e<1-9> (the expansion) after it, then perhaps n; channels are at most {MAX_WIDTH}.")
    return Stage(block, int(match[2]), int(match[3]), int(match[4]), int(match[5] or 1), not match[6])
