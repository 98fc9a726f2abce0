"""Every kind of image that people have, against what a viewer shows."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from colour_profiles import NARROW, rgb_profile
from consort.data.decode import decode
from consort.data.pixels import examined
from image_files import encoded, picture, saved

WIDE = picture(0, 6, 10)
ORIENTATIONS = {1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
                5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, 1), 7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
                8: lambda x: np.rot90(x, -1)}
"""EXIF tag -> how a camera that was held so stores an upright picture."""


# Orientation

@pytest.mark.parametrize("tag", ORIENTATIONS)
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_pictures_are_turned_upright(form, options, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[tag](WIDE)))
    assert np.array_equal(decode(saved(stored, form, exif=exif, **options), None), WIDE)


@pytest.mark.parametrize("tag", ORIENTATIONS)
def test_photos_are_turned_before_they_are_cropped(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    halves = np.full((40, 60, 3), 30, np.uint8)
    halves[20:] = 220
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[tag](halves)))
    square = decode(saved(stored, "JPEG", exif=exif, quality=95), 20).astype(int)
    assert square.shape == (20, 20, 3)
    assert abs(square[:9] - 30).max() < 9 and abs(square[11:] - 220).max() < 9


def test_damaged_metadata_is_passed_over():
    data = saved(Image.fromarray(WIDE), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffnothing")
    assert np.array_equal(decode(data, None), WIDE)


# Depth

LEVELS = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_of_grey_become_their_upper_eight(form):
    shown = decode(saved(Image.fromarray(LEVELS), form), None)
    assert np.array_equal(shown, np.repeat((LEVELS >> 8)[..., None], 3, 2))


def tiff(photometric: int, bits: int, data: bytes, order: str = "<") -> bytes:
    """A TIFF of 16x16 grey pixels."""
    tags = [(256, 16), (257, 16), (258, bits), (259, 1), (262, photometric), (273, 8 + 2 + 12 * 8 + 4), (277, 1),
            (279, len(data))]
    directory = struct.pack(f"{order}H", len(tags)) + b"".join(
        struct.pack(f"{order}HHI", tag, 4 if tag in (273, 279) else 3, 1)
        + (struct.pack(f"{order}I", value) if tag in (273, 279) else struct.pack(f"{order}HH", value, 0))
        for tag, value in tags) + bytes(4)
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8) + directory + data


@pytest.mark.parametrize(("order", "photometric", "bits"), [
    ("<", 0, 8), ("<", 1, 8), (">", 0, 8), (">", 1, 8), ("<", 0, 16), ("<", 1, 16), (">", 1, 16)])
def test_grey_tiffs_may_begin_with_white_or_with_black(order, photometric, bits):
    levels = LEVELS if bits == 16 else (LEVELS >> 8).astype(np.uint8)
    shown = decode(tiff(photometric, bits, levels.astype(levels.dtype.newbyteorder(order)).tobytes(), order), None)
    expected = (LEVELS >> 8).astype(np.uint8)
    assert np.array_equal(shown[..., 0], expected if photometric else 255 - expected)


def png(depth: int, kind: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    width = {(2, 0): 4, (4, 0): 2, (16, 2): 1, (16, 4): 1, (16, 6): 1, (16, 0): 2}[depth, kind]
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b""))


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


@pytest.mark.parametrize(("depth", "kind", "row", "expected"), [
    (2, 0, b"\x1b", [[0] * 3, [85] * 3, [170] * 3, [255] * 3]),
    (4, 0, b"\x5f", [[85] * 3, [255] * 3]),
    (16, 2, bytes([1, 99, 200, 1, 255, 0]), [[1, 200, 255]]),
    (16, 4, bytes([100, 7, 255, 255]), [[100] * 3]),
    (16, 6, bytes([1, 99, 200, 1, 255, 0, 0, 0]), [[255] * 3]),
])
def test_png_of_every_depth(depth, kind, row, expected):
    assert decode(png(depth, kind, [row]), None).tolist() == [expected]


def test_the_transparent_level_of_a_grey_png_of_16_bits_is_white():
    data = png(16, 0, [struct.pack(">HH", 7777, 7776)], chunk(b"tRNS", struct.pack(">H", 7777)))
    assert decode(data, None).tolist() == [[[255] * 3, [7776 >> 8] * 3]]


@pytest.mark.parametrize(("image", "form", "named"), [
    (Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "TIFF", "floating point"),
    (Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)), "TIFF", "32-bit or signed"),
    (ImageCms.profileToProfile(Image.fromarray(picture(0)), ImageCms.createProfile("sRGB"),
                               ImageCms.createProfile("LAB"), outputMode="LAB"), "TIFF", "Lab"),
])
def test_what_has_no_one_meaning_in_8_bits_is_refused(image, form, named):
    with pytest.raises(ValueError, match=f"its pixels are {named}.*8 or 16 bits"):
        decode(saved(image, form), None)


# Modes

@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF", "PPM"])
def test_black_and_white(form):
    bits = picture(1)[..., 0] > 127
    assert np.array_equal(decode(saved(Image.fromarray(bits), form), None)[..., 2], np.where(bits, 255, 0))


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return rgb * share + 255 * (1 - share)


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True}),
                                               ("JPEG2000", {})])
def test_what_is_transparent_shows_white(form, options):
    rgb, alpha = picture(2), picture(3)[..., 0]
    alpha[0], alpha[1] = 0, 255
    image = Image.fromarray(np.dstack([rgb, alpha]))
    shown = decode(saved(image, form, **options), None)
    assert abs(shown - over_white(rgb, alpha)).max() <= 1
    assert np.array_equal(shown[1], rgb[1]) and (shown[0] == 255).all()
    grey = decode(saved(image.convert("LA"), "PNG"), None)
    assert abs(grey[..., 0] - over_white(np.asarray(image.convert("RGB").convert("L"))[..., None],
                                         alpha)[..., 0]).max() <= 1


def test_transparent_colours_of_a_palette():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert decode(saved(image, "PNG"), None).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert decode(saved(image, "GIF", transparency=1), None).tolist() == [[[10, 20, 30], [255] * 3, [70, 80, 90]]]
    some = decode(saved(image, "PNG", transparency=b"\0\xff\x80"), None)
    assert some[0, :2].tolist() == [[255] * 3, [40, 50, 60]]
    assert abs(some[0, 2].astype(int) - [162, 167, 172]).max() <= 1


def test_transparent_colour_of_a_png_without_palette():
    rgb = picture(4)
    data = saved(Image.fromarray(rgb), "PNG", transparency=tuple(int(v) for v in rgb[3, 4]))
    rgb[3, 4] = 255
    assert np.array_equal(decode(data, None), rgb)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, :, 0], inks[8:, :, 3] = 255, 255  # cyan above, black below
    shown = decode(saved(Image.fromarray(inks, "CMYK"), form, quality=100), None).astype(int)
    assert abs(shown[:7] - [0, 255, 255]).max() < 12 and shown[9:].max() < 12


def test_ycbcr_tiff():
    image = Image.fromarray(picture(5)).convert("YCbCr")
    assert np.array_equal(decode(saved(image, "TIFF"), None), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_of_an_animation_or_of_pages_the_first_is_shown(form, options):
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (51, 204, 0)]
    data = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (decode(data, None) == 51).all()


@pytest.mark.parametrize("form", ["WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "PNG"])
def test_formats_without_loss(form):
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(decode(saved(Image.fromarray(WIDE), form, **options), None), WIDE)


# Examined: images that stay files

@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_an_image_that_was_cut_off_is_found_without_keeping_it(form):
    data = encoded(picture(8, 64, 64), form)
    assert examined(data)
    with pytest.raises(ValueError, match=r"\w"):
        examined(data[:len(data) * 2 // 3])


def test_what_is_shown_as_it_is_stored():
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = Image.fromarray(np.dstack([WIDE, np.full(WIDE.shape[:2], 255, np.uint8)]))
    for data in (encoded(WIDE), encoded(WIDE, "JPEG"), saved(clear, "PNG"), saved(clear.convert("LA"), "PNG")):
        assert examined(data)
    clear.putpixel((0, 0), (1, 2, 3, 0))
    for data in (saved(Image.fromarray(WIDE), "JPEG", exif=exif), saved(Image.fromarray(WIDE), "PNG", exif=exif),
                 saved(clear, "PNG"), saved(Image.fromarray(LEVELS), "PNG"),
                 saved(Image.fromarray(WIDE), "PNG", icc_profile=rgb_profile(NARROW, 1.8))):
        assert not examined(data)


# Reasons

@pytest.mark.parametrize(("data", "why"), [
    (b"", "the file is empty"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "pointer of Git LFS"),
    (b"../.git/annex/objects/xx/yy", "pointer of git-annex"),
    (b"\n<!DOCTYPE html><html>", "a web page"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "HEIC"),
    (b"no image at all", "not in a format that can be read"),
    (encoded(WIDE)[:30], "truncated|damaged|not in a format"),
])
def test_reasons_are_words_and_the_same_each_time(data, why):
    with pytest.raises(ValueError, match=why) as raised:
        decode(data, None)
    assert not re.search(r"0x|object at|<", str(raised.value))


def test_strips_are_cropped_before_they_are_made_large():
    strip = np.zeros((2, 20_000, 3), np.uint8)
    strip[:, 9_900:10_100] = 100
    assert (decode(encoded(strip), 224) == 100).all()
