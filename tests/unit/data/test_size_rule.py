"""Which size images of several sizes are brought to, and that it is said."""

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consort.data.image_folder import ImageFolder
from consort.data.sample import Sample, look
from consort.data.size_rule import SIDES, chosen_side
from consort.errors import InputError
from consort.store import Store, open_store
from image_files import encoded, image_set, picture, write_folder, write_zip
from prepared_images import further, prepared

ODD = ("train/cat/000.png", "train/dog/009.png", "test/dog/002.png")


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize(("sizes", "side"), [
    ([(640, 480), (500, 375), (375, 500)], 224),
    ([(100, 150), (90, 80), (120, 200)], 96),
    ([(63, 63), (64, 70), (65, 65)], 64),
    ([(28, 28), (28, 28), (30, 30)], 28),  # most are squares of this side, which no image is resized from in vain
    ([(28, 28), (30, 30)], 24),
    ([(40, 30), (40, 30), (40, 30), (41, 30)], 24),
    ([(5, 9), (6, 6)], 8),
    ([], 8),
])
def test_largest_side_to_which_most_images_need_not_be_enlarged(sizes, side):
    assert chosen_side(Sample(tuple(sizes))) == side


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1), st.sampled_from(SIDES))
def test_rule_as_it_is_said(sizes, most):
    side = chosen_side(Sample(tuple(sizes)), most)
    squares = [width for width, height in sizes if width == height]
    common = [s for s in set(squares) if 2 * squares.count(s) > len(sizes) and 8 <= s <= most]
    fits = [s for s in SIDES if s <= most and 2 * sum(min(size) >= s for size in sizes) > len(sizes)]
    assert side == (common or [max(fits, default=8)])[0]


def test_one_image_of_another_size_anywhere_is_brought_to_that_of_most(store, tmp_path):
    for odd in ODD:
        files = {**image_set(), odd: encoded(picture(0, 9, 12))}
        data = prepared(store, write_folder(tmp_path / odd.replace("/", "-"), files))
        assert data.manifest.image_size == [8, 8]
        assert any("several sizes: all are brought to 8x8" in note for note in data.manifest.found["notes"])


def test_an_odd_image_that_was_not_looked_at_counts_too(store, tmp_path):
    files = image_set(train=120, test=2) | {"train/cat/001.png": encoded(picture(0, 30, 40))}
    folder = ImageFolder(write_folder(tmp_path / "a", files))
    assert set(look(folder, [e.path for e in folder.train()]).sizes) == {(8, 8)}
    assert prepared(store, tmp_path / "a").manifest.image_size == [8, 8]


def test_photos_of_several_sizes_are_prepared_as_by_the_image_size_that_is_said(store, tmp_path):
    files = {path: encoded(picture(i, 40 + i % 9, 50 + i % 4)) for i, path in enumerate(image_set())}
    data = prepared(store, write_folder(tmp_path / "a", files))
    assert data.manifest.image_size == [32, 32]
    assert data.fingerprint == prepared(store, write_zip(tmp_path / "b.zip", files), image_size=32).fingerprint
    assert prepared(store, tmp_path / "a", image_size=16).manifest.image_size == [16, 16]


def test_images_of_one_size_keep_it_and_nothing_is_said(store, tmp_path):
    data = prepared(store, write_folder(tmp_path / "a", image_set(height=21, width=37)))
    assert data.manifest.image_size == [21, 37]
    assert data.manifest.found["notes"] == []


def test_turned_photos_have_the_size_that_is_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(picture(0, 20, 30)).save(file, "JPEG", exif=exif)
    folder = ImageFolder(write_folder(tmp_path / "a", {"train/a/0.jpg": file.getvalue(), "train/a/1.jpg": b"broken"}))
    assert look(folder, ["train/a/0.jpg", "train/a/1.jpg", "train/a/absent.jpg"]).sizes == ((20, 30),)


def test_a_test_set_of_another_size_than_training_images_that_are_no_squares_names_the_remedy(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set(height=8, width=12)))
    files = {"test/cat/0.png": encoded(picture(0, 9, 12)), "test/dog/0.png": encoded(picture(1, 9, 12))}
    with pytest.raises(InputError, match="Set image_size"):
        further(store, like, write_folder(tmp_path / "b", files))
    files["test/dog/0.png"] = encoded(picture(1, 10, 12))
    with pytest.raises(InputError, match=r"test/dog/0\.png has 10x12 pixels, test/cat/0\.png has 9x12"):
        further(store, like, write_folder(tmp_path / "c", files))


def deep(highest: int, side: int = 8) -> bytes:
    levels = np.zeros((side, side), np.uint16)
    levels[0, 0] = highest
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("highest", "told"), [(4095, "4,095, which needs 12 bits of the 16.*by 16 before"),
                                               (16_383, "by 4 before"), (255, "by 256 before"), (16_384, None),
                                               (65_535, None), (0, None)])
def test_sixteen_bit_images_that_hold_fewer_bits_are_told(store, tmp_path, highest, told):
    files = image_set() | {f"train/cat/{i}.png": deep(min(highest, highest // 2 + i)) for i in range(40)}
    files |= {"train/dog/a.png": deep(highest)}
    folder = write_folder(tmp_path / "a", {p: d for p, d in files.items() if len(d) < 1000})
    warnings = [w for w in prepared(store, folder).manifest.found["warnings"] if "16-bit grey" in w]
    if told is None:
        assert warnings == []
    else:
        warning, = warnings
        assert re.search(told, warning)
