"""Images whose colours are of another space are shown as sRGB."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from colour_profiles import NARROW, SRGB_TO_XYZ, profile, rgb_profile
from consort.data import pixels as reading
from consort.data.decode import decode
from consort.data.pixels import examined
from image_files import picture, saved


def srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_colours_of_another_profile_are_brought_to_srgb(form):
    pixels = picture(6)
    options = {"lossless": True} if form == "WEBP" else {}
    shown = decode(saved(Image.fromarray(pixels), form, icc_profile=rgb_profile(NARROW, 1.8), **options), None)
    linear = (pixels / 255) ** 1.8 @ (np.linalg.inv(SRGB_TO_XYZ) @ NARROW).T
    assert abs(shown - srgb(linear)).max() <= 2.5
    assert abs(shown.astype(int) - pixels).max() > 30


def test_transparent_and_grey_images_have_their_profile_too():
    pixels = picture(7)
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[0] = 0
    wide = rgb_profile(NARROW, 1.8)
    expected = decode(saved(Image.fromarray(pixels), "PNG", icc_profile=wide), None)
    shown = decode(saved(Image.fromarray(np.dstack([pixels, alpha])), "PNG", icc_profile=wide), None)
    assert np.array_equal(shown[1:], expected[1:]) and (shown[0] == 255).all()
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = decode(saved(Image.fromarray(ramp), "PNG", icc_profile=profile(b"GRAY", {b"kTRC": 1.8}, {})), None)
    assert abs(grey[..., 1] - srgb((ramp / 255) ** 1.8)).max() <= 2


@pytest.mark.parametrize("of", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
                                rgb_profile(SRGB_TO_XYZ, 2.2)[:90], b"nonsense", profile(b"GRAY", {b"kTRC": 1.8}, {})])
def test_srgb_and_profiles_that_cannot_be_meant_change_nothing(of):
    data = saved(Image.fromarray(picture(0)), "PNG", icc_profile=of)
    assert np.array_equal(decode(data, None), picture(0)) and examined(data)


def test_large_profiles_are_not_kept(monkeypatch):
    """A server reads strangers' images."""
    for size, kept in ((reading.LARGEST_KEPT, 1), (reading.LARGEST_KEPT + 1, 0)):
        before = reading._kept.cache_info().currsize
        decode(saved(Image.fromarray(picture(0)), "TIFF", icc_profile=bytes(size)), None)
        assert reading._kept.cache_info().currsize == before + kept
