"""From the bytes of one image to its pixels."""

import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from consort.data.decode import decode
from image_files import encoded, picture

untimed = settings(deadline=None)


def test_png_is_decoded_exactly():
    assert np.array_equal(decode(encoded(picture(0, 7, 5)), None), picture(0, 7, 5))


def test_resizing_keeps_the_centre_of_the_longer_side():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert decode(encoded(wide), 10).tolist() == np.full((10, 10, 3), 200).tolist()


@pytest.mark.parametrize(("mode", "form"), [("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"),
                                            ("L", "JPEG"), ("CMYK", "JPEG")])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode, form):
    path = tmp_path / "image"
    Image.fromarray(picture(0)).convert(mode).save(path, form)
    assert decode(path.read_bytes(), None).shape == (8, 8, 3)


def test_an_image_about_which_pillow_warns_is_readable(tmp_path: Path):
    path = tmp_path / "palette.png"
    image = Image.fromarray(picture(0)).convert("P")
    image.save(path, transparency=bytes(range(256)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Image.open(path).convert("RGB")
    assert told, "Pillow no longer warns about this image: find another one"
    assert decode(path.read_bytes(), None).shape == (8, 8, 3)


def test_decompression_bomb_is_unreadable():
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", (20_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0")
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(header + chunk(b"IDAT", b"") + chunk(b"IEND", b""), 32)


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


@untimed
@given(st.sampled_from(["PNG", "JPEG"]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
       st.integers(0, 400))
def test_altered_bytes_are_an_image_or_a_value_error(form, changes, cut):
    data = bytearray(encoded(picture(0), form))
    for place, value in changes:
        data[place % len(data)] = value
    for tried in (data, data[:cut]):
        try:
            assert decode(bytes(tried), 8).shape == (8, 8, 3)
        except ValueError:
            pass
