"""From the bytes of one image file to 8-bit RGB, as a viewer shows it.

Turned by its EXIF orientation, its colours brought to sRGB where an ICC profile says that they are others, 16 bits of
grey as their upper 8, transparent parts over white, and of an animation or a stack of pages the first. What has no
such meaning, such as floating point, is refused. Any number of threads may decode, where warnings are ignored already.
"""

import io
import re
import struct
import zlib
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is read, in Pillow's names. The bytes decide; the ending of a file's name may lie."""
READ = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000 and AVIF"
MOST_PIXELS = 89_478_485
"""Pillow's limit: three bytes each are a quarter of a GiB. What claims more is a mistake or an attack more often than
an image to classify."""
LARGEST_KEPT = 2 * 2**20
"""Bytes of a colour profile that is kept with what was made of it. Those of printing presses have up to 2 MB."""
SAME_COLOURS = 2
"""Levels by which a profile may differ from sRGB anywhere and still count as sRGB, whose pixels stay as they are."""
_ORIENTATION = 0x0112
_WHITE_IS_ZERO = 262
_TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_90}


def decoded(data: bytes) -> Image.Image:
    """The image in mode RGB; ValueError with the reason where the bytes are none that can be shown."""
    try:
        return as_shown(opened(data))
    except Exception as e:  # Pillow's readers of damaged files raise whatever their arithmetic runs into
        raise ValueError(reason(data, e)) from e


def opened(data: bytes) -> Image.Image:
    """The image with its header read; refuses one of more than MOST_PIXELS."""
    image = Image.open(io.BytesIO(data), formats=_formats())
    if not image.width * image.height:
        raise ValueError("it has no pixels")
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels, which could be a decompression bomb; at most "
                         f"{MOST_PIXELS:,} are read")
    return image


def examined(data: bytes) -> bool:
    """Read an image without keeping it, as quickly as it can be known to be whole; ValueError with the reason.

    True where the pixels are shown as they are stored: without regard to orientation, colour profile, depth and
    transparency they would be the same.
    """
    try:
        image = opened(data)
        if image.format not in ("JPEG", "MPO", "PNG"):
            as_shown(image)
            return True
        plain = image.mode in ("1", "L", "RGB", "P", "CMYK") and not (
            _turn(image) or b"eXIf" in data or "transparency" in image.info or image.info.get("icc_profile"))
        if not plain:
            return np.array_equal(np.asarray(opened(data).convert("RGB")), np.asarray(as_shown(image)))
        if image.format != "PNG":
            image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
        return True
    except Exception as e:  # see decoded
        raise ValueError(reason(data, e)) from e


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image whose header is read, as it is shown."""
    sideways = _turn(image) in (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE,
                                Image.Transpose.ROTATE_90)
    return (image.height, image.width) if sideways else image.size


def as_shown(image: Image.Image) -> Image.Image:
    image.load()
    turn, profile = _turn(image), image.info.get("icc_profile")
    image = _eight_bits(image)
    if profile:
        image = _in_srgb(image, profile)
    image = _over_white(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to bring the stored pixels upright. Pillow has turned a TIFF and forgotten the tag when it is loaded."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata, which viewers pass over
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as its upper 8 bits; its one transparent level, where it has one, as an alpha channel.

    Refuses pixels that have no one meaning as levels of 0 to 255.
    """
    if image.mode in ("RGBa", "La"):
        return image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
    if not image.mode.startswith("I"):
        if image.mode in ("F", "LAB"):
            kind = "floating point" if image.mode == "F" else "Lab"
            raise ValueError(f"its pixels are {kind}, which has no one meaning as 8-bit RGB: save it with 8 or 16 bits")
        return image
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise ValueError("its pixels are 32-bit or signed numbers, which have no one meaning as 8-bit RGB: save it "
                         "with 8 or 16 bits")
    levels = np.asarray(image).astype(np.uint16)
    if getattr(image, "tag_v2", {}).get(_WHITE_IS_ZERO) == 0:
        levels = ~levels
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    return grey


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours of another space brought to sRGB; a profile that is damaged or for another kind of image is passed over,
    as viewers do."""
    alpha = image.convert("RGBA").getchannel("A") if _has_clear_parts(image) else None
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "LA" else "RGB")
    transform = _transform(profile, image.mode)
    if transform is None and image.mode == "L":
        transform, image = _transform(profile, "RGB"), image.convert("RGB")
    if transform is not None:
        changed = ImageCms.applyTransform(image, transform)
        assert changed is not None
        image = changed
    if alpha is not None:
        image = image.convert("RGB")
        image.putalpha(alpha)
    return image


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """As `_computed`; kept where the profile is not so large that a few strangers' would fill the memory."""
    return (_kept if len(profile) <= LARGEST_KEPT else _computed)(profile, mode)


def _computed(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From this profile's colours to sRGB, for images of this mode; None where there is nothing to do."""
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "RGB":
        steps = np.linspace(0, 255, 18).astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(18, -1, 3)
        changed = ImageCms.applyTransform(Image.fromarray(grid), transform)
        if np.abs(np.asarray(changed).astype(int) - grid).max() <= SAME_COLOURS:
            return None
    return transform


_kept = lru_cache(64)(_computed)


def _over_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent shows white, as on a page."""
    if not _has_clear_parts(image):
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _has_clear_parts(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


@lru_cache(1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def reason(data: bytes, error: Exception) -> str:
    """Why these bytes are no image that can be shown, in words that are the same each time."""
    if not data:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        start = data[:512].lstrip().lower()
        for mark, what in _POINTERS.items():
            if start.startswith(mark) or (mark == b"/annex/" and mark in start):
                return what
        brand = data[8:12] if data[4:8] == b"ftyp" else b""
        what = f"it is {'HEIC' if brand[:2] == b'he' else 'video or HEIF'}: " if brand not in (b"", b"avif") else ""
        return f"{what}not in a format that can be read ({READ}), of a rare kind of one, or damaged at its start"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MOST_PIXELS:,} pixels, which could be a decompression bomb"
    if isinstance(error, MemoryError):
        return "there is not memory enough for it"
    if isinstance(error, struct.error | zlib.error | IndexError | KeyError | TypeError | AttributeError):
        return f"it is damaged ({type(error).__name__})"
    return re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "the file", str(error)).strip() or type(error).__name__


_POINTERS = {b"version https://git-lfs": "it is a pointer of Git LFS and not the image: `git lfs pull` fetches it",
             b"/annex/": "it is a pointer of git-annex and not the image: `git annex get` fetches it",
             b"<!doctype html": "it is a web page and not an image", b"<html": "it is a web page and not an image",
             b"<svg": "it is SVG, which is not read", b"<?xml": "it is XML, which is not read"}
