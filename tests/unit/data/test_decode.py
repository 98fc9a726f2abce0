"""From the bytes of one image to its pixels."""

import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from consort.data import decode as decode_module
from consort.data.decode import decode, decode_all
from consort.data.image_folder import ImageFolder
from consort.errors import InputError
from image_files import encoded, image_set, picture, write_folder, write_zip

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


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(decode_module, "CHUNK", 3)


class WatchedFolder(ImageFolder):
    """Notes which threads read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.threads: set[int] = set()

    def read(self, path: str) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(path)


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_images_come_back_in_the_order_of_their_paths(tmp_path: Path, small_chunks, write):
    files = image_set(train=40)
    paths = sorted(files, key=lambda path: files[path])
    images, readable = decode_all(ImageFolder(write(tmp_path / "images", files)), paths, None, False, silent)
    assert np.array_equal(images, [decode(files[path], None) for path in paths])
    assert readable.tolist() == list(range(len(paths)))


def test_a_quota_of_one_cpu_decodes_in_one_thread(tmp_path: Path, monkeypatch, small_chunks):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr("consort.cores.CGROUP", tmp_path)
    files = image_set(train=40)
    folder = WatchedFolder(write_folder(tmp_path / "images", files))
    decode_all(folder, list(files), None, False, silent)
    assert len(folder.threads) == 1


def test_the_first_unreadable_image_is_named_and_ends_the_work(tmp_path: Path, small_chunks):
    files = {**image_set(train=40), "train/cat/005.png": b"no image", "train/dog/030.png": b"nor this"}
    folder, filters = WatchedFolder(write_folder(tmp_path, files)), list(warnings.filters)
    with pytest.raises(InputError, match=r"train/cat/005\.png is not a readable image"):
        decode_all(folder, list(files), None, False, silent)
    assert warnings.filters == filters
    images, readable = decode_all(folder, list(files), None, True, silent)
    assert len(images) == len(files) - 2 and set(range(len(files))) - set(readable) == {5, 70}


def test_decode_all_says_nothing_of_what_pillow_warns_about(tmp_path: Path, small_chunks):
    image = Image.fromarray(picture(0)).convert("P")
    image.save(tmp_path / "0.png", transparency=bytes(range(256)))
    images, _ = decode_all(ImageFolder(tmp_path), ["0.png"] * 20, None, False, silent)
    assert images.shape == (20, 8, 8, 3)


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
