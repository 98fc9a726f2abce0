"""Which images a bundle takes, and what each of its networks sees of them.

Images in arrays have one size: a bundle takes them as they are, and a network that wants others has them resized inside
the graph, as Pillow did it for the study's predictions. Image files have any size: the bundle takes what the network
with the finest images sees, and around it what another sees; the others' images are made of these inside the graph,
which is not exactly what they saw in the study.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from consort.data.batches import EVAL_CROP
from consort.data.prepared import Prepared
from consort.data.preprocessing import AS_PREPARED, Preprocessing, resampling, taken
from consort.errors import InputError
from consort.members.records import MemberRecord

Size = tuple[int, int]
Colour = tuple[float, float, float]
WHOLE = 2**22
"""What Pillow's weights for 8-bit images add up to."""


@dataclass(frozen=True)
class Axis:
    """What is seen along one side: a part of the bundle's pixels is resized, and of these some are taken."""

    source: int
    """The bundle's pixels."""
    box: tuple[float, float]
    """Where the part that is resized begins and ends."""
    resized: int
    first: int
    """Of the resized pixels that are taken; negative where there is a border."""
    count: int

    @property
    def as_it_is(self) -> bool:
        """Whether nothing is resized, only cut out."""
        return self.resized == self.source and self.box == (0, self.source)

    @property
    def inner(self) -> tuple[int, int]:
        """Of the resized pixels, the first and the end of those that there are."""
        return max(0, self.first), min(self.resized, self.first + self.count)

    @property
    def border(self) -> tuple[int, int]:
        """How many pixels are wanted before the first that there is, and after the last."""
        begin, end = self.inner
        return begin - self.first, self.count - (begin - self.first) - (end - begin)

    def weights(self, interpolation: str) -> np.ndarray:
        """int32 [source, inner pixels], of which WHOLE is one: how much of each of the bundle's pixels is in each that
        is seen, by Pillow's filter, which smooths what it makes smaller. To the bit those that Pillow resizes 8-bit
        images with: it rounds integers in the same way."""
        begin, end = self.inner
        each = Image.fromarray(WHOLE * np.eye(self.source, dtype=np.int32))
        box = (self.box[0], 0.0, self.box[1], float(self.source))
        return np.asarray(each.resize((self.resized, self.source), resampling(interpolation), box))[:, begin:end]


@dataclass(frozen=True)
class View:
    """What one network sees of the bundle's images."""

    rows: Axis
    columns: Axis
    interpolation: str
    fill: tuple[int, int, int]
    """The colour of a border."""
    mean: Colour
    std: Colour
    """The network takes (value / 255 - mean) / std per channel."""
    columns_first: bool = True
    """Whether the width is resized before the height, which rounding depends on."""

    @property
    def size(self) -> Size:
        return self.rows.count, self.columns.count


@dataclass(frozen=True)
class Views:
    """The images of a bundle, and what each of its networks sees of them."""

    size: Size
    rule: dict[str, Any]
    """The manifest's `input`: how an image becomes what the bundle takes."""
    networks: tuple[View, ...]
    exact: bool
    """Whether every network sees what it saw in the study."""


def whole(size: Size, mean: Sequence[float], std: Sequence[float]) -> View:
    """All of the bundle's image."""
    rows, columns = (Axis(side, (0, side), side, 0, side) for side in size)
    return View(rows, columns, "bilinear", (0, 0, 0), _colour(mean), _colour(std))


def views_of(records: Sequence[MemberRecord], sizes: Sequence[Size], data: Prepared) -> Views:
    """sizes: the height and width that each network takes. InputError where no image holds what all of them want."""
    own = [None if r.preprocessing is None else Preprocessing.from_dict(r.preprocessing) for r in records]
    if data.manifest.layout == "arrays":
        assert data.manifest.image_size is not None
        height, width = data.manifest.image_size
        networks = tuple(_of_array((height, width), how, data) for how in own)
        return Views((height, width), rule_of(_as_prepared((height, width), (height, width))), networks, True)
    wanted = [_wanted(how, size) for how, size in zip(own, sizes, strict=True)]
    _check_alike(records, wanted)
    common = _common(wanted)
    networks = tuple(_of_files(common, want, *_normalisation(how, data))
                     for want, how in zip(wanted, own, strict=True))
    return Views(common.crop, rule_of(common), networks, len(set(wanted)) == 1)


def rule_of(how: Preprocessing) -> dict[str, Any]:
    """The manifest's `input`, which `running.read_image` follows."""
    (height, width), fits = how.crop, how.fit != AS_PREPARED
    rule = {"height": height, "width": width, "resize": list(how.resize), "interpolation": how.interpolation,
            "crop": "centre", "colour": "RGB", "layout": "NHWC", "type": "uint8", "rule": _WORDS[how.fit]}
    return rule | ({"fit": how.fit, "fill": list(how.fill)} if fits else {})


_CENTRE = " Cut out the centre of height x width; where the image is smaller, it stands in the middle of `fill`."
_WORDS = {
    AS_PREPARED: "Scale the image until it covers `resize` (height, width), unless it has that size; cut out the "
                 "centre of `resize`, and of it the centre of height x width.",
    "shorter": "Scale the image until its shorter side is the first of `resize`." + _CENTRE,
    "cover": "Scale the image until it just covers `resize` (height, width)." + _CENTRE,
    "exact": "Scale the image to `resize` (height, width), whatever its ratio." + _CENTRE,
    "inside": "Scale the image until it just fits into `resize` (height, width)." + _CENTRE}


def _as_prepared(resize: Size, crop: Size) -> Preprocessing:
    """As images are brought to one size for members that are trained."""
    return Preprocessing(resize, crop, AS_PREPARED)


def _wanted(own: Preprocessing | None, size: Size) -> Preprocessing:
    """How a network's images are made of files, without regard to normalisation."""
    if own is None or own.fit == AS_PREPARED:
        height, width = (round(side / EVAL_CROP) for side in size)
        return _as_prepared((height, width), size)
    return Preprocessing(own.resize, own.crop, own.fit, own.interpolation, fill=own.fill)


def _normalisation(own: Preprocessing | None, data: Prepared) -> tuple[Colour, Colour]:
    mean, std = (data.manifest.mean, data.manifest.std) if own is None else (own.mean, own.std)
    return _colour(mean), _colour(std)


def _colour(values: Sequence[float]) -> Colour:
    red, green, blue = values
    return red, green, blue


def _of_array(size: Size, own: Preprocessing | None, data: Prepared) -> View:
    """Of images that have this size already."""
    mean, std = _normalisation(own, data)
    if own is None or own.fit == AS_PREPARED:
        return whole(size, mean, std)
    resized = own.resized(*size)
    rows, columns = (Axis(side, (0, side), becomes, *taken(becomes, crop))
                     for side, becomes, crop in zip(size, resized, own.crop, strict=True))
    return View(rows, columns, own.interpolation, own.fill, mean, std,
                _columns_first(size, resized, resampling(own.interpolation)))


def _columns_first(size: Size, resized: Size, how: Image.Resampling) -> bool:
    """Which side Pillow resizes first: it depends on its version, and on how much work each is. Tried out."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    whole, (height, width) = image.resize(resized[::-1], how), resized
    return whole == image.resize((width, image.height), how).resize((width, height), how)


def _check_alike(records: Sequence[MemberRecord], wanted: Sequence[Preprocessing]) -> None:
    """One picture can be cut out of another where both keep the ratio of sides, or both squash, or both frame."""
    first = _kind(wanted[0])
    for record, want in zip(records, wanted, strict=True):
        if _kind(want) != first:
            raise InputError(f"{records[0].id} and {record.id} cannot be in one bundle: images are "
                             f"{_words(wanted[0])} for the one and {_words(want)} for the other, and none holds all of "
                             "both. Export another candidate, or name members of one kind with --members.")


def _kind(how: Preprocessing) -> tuple[object, ...]:
    ratio = Fraction(*how.resize)
    if how.fit == "exact":
        return "exact", how.fill
    return "inside" if how.fit == "inside" else "cover", ratio, how.fill


def _words(how: Preprocessing) -> str:
    fitted = {"exact": "squashed to", "inside": "framed in"}.get(how.fit, "scaled to cover")
    return f"{fitted} {how.resize[0]} x {how.resize[1]} pixels"


def _common(wanted: Sequence[Preprocessing]) -> Preprocessing:
    """How the bundle's images are made: as those of the network that resizes to most pixels, and a wider centre where
    another network sees more of the picture."""
    base = max(wanted, key=lambda how: (how.resize[0] * how.resize[1], how.crop[0] * how.crop[1]))
    if len(set(wanted)) == 1:
        return base
    height, width = (_side(side, max(_pixels(how, axis, base) for how in wanted))
                     for axis, side in enumerate(base.crop))
    if (height, width) == base.crop:
        return base
    return replace(base, crop=(height, width), fit="cover" if base.fit == AS_PREPARED else base.fit)


def _pixels(how: Preprocessing, axis: int, base: Preprocessing) -> Fraction:
    """How many pixels of the picture that is resized as for `base` a network sees along an axis."""
    return Fraction(how.crop[axis] * base.resize[axis], how.resize[axis])


def _side(crop: int, needed: Fraction) -> int:
    """At least `crop`; by steps of 4, so that its centre of `crop` pixels stays where it is, however halves are
    rounded. Less than a pixel may lack."""
    return crop + 4 * math.ceil(max(0, math.floor(needed) - crop) / 4)


def _of_files(images: Preprocessing, want: Preprocessing, mean: Colour, std: Colour) -> View:
    rows, columns = (_along(images, want, axis) for axis in (0, 1))
    return View(rows, columns, want.interpolation, want.fill, mean, std)


def _along(images: Preprocessing, want: Preprocessing, axis: int) -> Axis:
    source, count = images.crop[axis], want.crop[axis]
    if images.resize[axis] == want.resize[axis]:
        return Axis(source, (0, source), source, (source - count) // 2, count)
    seen = min(float(_pixels(want, axis, images)), source)
    return Axis(source, ((source - seen) / 2, (source + seen) / 2), count, 0, count)
