"""Preparing data: from image folders, zips and archives to verified arrays with a fingerprint."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from consort.data.prepare import prepare
from consort.data.prepared import Prepared, open_prepared
from consort.errors import InputError, IntegrityError, MissingKey
from consort.store import Store, keys, open_store
from consort.study.data import Data
from image_files import encoded, image_set, picture, write_folder, write_zip
from prepared_images import prepared

untimed = settings(deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


class Counted:
    """Remembers what the progress callback was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


def by_pixels(data: Prepared, split: str) -> dict[bytes, int]:
    return {image.tobytes(): int(label) for image, label in zip(data.images(split), data.labels(split), strict=True)}


# Folders and zips

def test_arrays_hold_every_image_with_the_label_of_its_folder(store, tmp_path):
    data = prepared(store, write_folder(tmp_path / "pets", image_set()))
    assert (data.name, data.classes, data.manifest.layout) == ("pets", ["cat", "dog"], "arrays")
    assert data.counts == {"train": 18, "val": 2, "test": 6}
    pixels = [picture(seed).tobytes() for seed in range(26)]
    expected = dict(zip(pixels, [0] * 10 + [1] * 10 + [0] * 3 + [1] * 3, strict=True))
    assert by_pixels(data, "test") == {p: expected[p] for p in pixels[20:]}
    assert by_pixels(data, "train") | by_pixels(data, "val") == {p: expected[p] for p in pixels[:20]}
    assert not set(by_pixels(data, "train")) & set(by_pixels(data, "val"))


def test_folder_zip_and_zip_with_a_top_folder_are_the_same_data(store, tmp_path):
    files = image_set()
    sources = [write_folder(tmp_path / "a", files), write_zip(tmp_path / "b.zip", files),
               write_zip(tmp_path / "c.zip", {f"pets-1.0/{path}": data for path, data in files.items()})]
    assert len({prepared(store, source).fingerprint for source in sources}) == 1


def test_fingerprint_stays_when_the_folder_moves(store, tmp_path):
    folder = write_folder(tmp_path / "a", image_set())
    before = prepared(store, folder).fingerprint
    shutil.move(folder, tmp_path / "elsewhere")
    assert prepared(store, tmp_path / "elsewhere").fingerprint == before


def test_fingerprint_changes_with_one_pixel_one_label_or_the_split(store, tmp_path):
    files = image_set()
    pixels = picture(0)
    pixels[3, 4, 1] ^= 1
    other_pixel = {**files, "train/cat/000.png": encoded(pixels)}
    other_label = {path.replace("train/cat/000", "train/dog/zzz"): data for path, data in files.items()}
    found = [prepared(store, write_folder(tmp_path / str(i), f), split_seed=seed).fingerprint
             for i, (f, seed) in enumerate([(files, 0), (other_pixel, 0), (other_label, 0), (files, 1)])]
    assert len(set(found)) == 4


def test_second_prepare_decodes_nothing(store, tmp_path):
    folder, first, second = write_folder(tmp_path / "a", image_set()), Counted(), Counted()
    fingerprint = prepared(store, folder, first).fingerprint
    assert first.calls[-1] == (26, 26)
    assert prepared(store, folder, second).fingerprint == fingerprint
    assert second.calls == []


def test_changed_file_is_decoded_again(store, tmp_path):
    folder, again = write_folder(tmp_path / "a", image_set()), Counted()
    fingerprint = prepared(store, folder).fingerprint
    (folder / "train/cat/000.png").write_bytes(encoded(picture(99)))
    assert prepared(store, folder, again).fingerprint != fingerprint
    assert again.calls


def test_damaged_note_of_what_a_source_became_is_replaced(store, tmp_path):
    folder, again = write_folder(tmp_path / "a", image_set()), Counted()
    fingerprint = prepared(store, folder).fingerprint
    note, = store.list("data/sources")
    for damage in (b"\xff{", b"[1]", b"{}"):
        store.write(note, damage)
        assert prepared(store, folder, again).fingerprint == fingerprint
    assert len(again.calls) == 3


def test_val_folder_is_the_test_split_where_there_is_no_test_folder(store, tmp_path):
    files = image_set()
    as_imagenet = {path.replace("test/", "val/"): data for path, data in files.items()}
    data = prepared(store, write_folder(tmp_path / "a", as_imagenet))
    assert data.fingerprint == prepared(store, write_folder(tmp_path / "b", files)).fingerprint


def test_other_files_are_ignored(store, tmp_path):
    files = image_set()
    litter = {"train/cat/notes.txt": b"x", "train/cat/.hidden.png": b"x", "__MACOSX/train/cat/000.png": b"x",
              "train/stray.png": b"x", ".git/train/cat/0.png": b"x"}
    plain = prepared(store, write_folder(tmp_path / "a", files)).fingerprint
    assert prepared(store, write_folder(tmp_path / "b", files | litter)).fingerprint == plain
    assert prepared(store, write_zip(tmp_path / "c.zip", files | litter)).fingerprint == plain


def test_hostile_names_in_a_zip_are_neither_written_nor_read_as_images(store, tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    hostile = {name: encoded(picture(500 + i)) for i, name in enumerate(
        ["../evil.png", "../../train/cat/evil.png", "train/../../evil/x.png", "train/cat/../../../evil.png",
         "../train/cat/evil.png", "/train/evil.png"])}
    plain = prepared(store, write_zip(inside / "plain.zip", image_set())).fingerprint
    assert prepared(store, write_zip(inside / "hostile.zip", image_set() | hostile)).fingerprint == plain
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert sorted(path.name for path in inside.iterdir()) == ["hostile.zip", "plain.zip"]
    assert not Path("/train/evil.png").exists()


# Images

def test_unreadable_image_stops_with_its_name(store, tmp_path):
    folder = write_folder(tmp_path / "a", {**image_set(), "train/dog/005.png": b"no image"})
    with pytest.raises(InputError, match=r"train/dog/005\.png is not a readable image.*skip_unreadable"):
        prepared(store, folder)
    assert not list(store.list("data"))


def test_skip_unreadable_counts_what_it_leaves_out(store, tmp_path):
    files = image_set()
    broken = {**files, "train/cat/000.png": b"", "test/dog/001.png": files["test/dog/001.png"][:60]}
    data = prepared(store, write_folder(tmp_path / "a", broken), skip_unreadable=True)
    assert data.manifest.unreadable == 2
    assert data.counts == {"train": 18, "val": 1, "test": 5}
    assert list(by_pixels(data, "test").values()) == [0, 0, 0, 1, 1]
    assert picture(24).tobytes() not in by_pixels(data, "test")


def test_split_without_a_readable_image(store, tmp_path):
    broken = {path: data if path.startswith("train") else b"" for path, data in image_set().items()}
    with pytest.raises(InputError, match="no readable image in test/"):
        prepared(store, write_folder(tmp_path / "a", broken), skip_unreadable=True)


def test_damaged_and_encrypted_entries_of_a_zip_are_unreadable_images(store, tmp_path):
    path = write_zip(tmp_path / "a.zip", image_set())
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first, second = (archive.getinfo(f"train/cat/00{i}.png") for i in (0, 1))
    raw[first.header_offset + 60 + 20] ^= 0xFF  # a byte of the image: its checksum is wrong now
    directory = raw.index(b"PK\x01\x02")
    entry = raw.index(b"train/cat/001.png", directory) - 46
    raw[entry + 8] |= 1  # the flag "encrypted", in the directory and at the file
    raw[second.header_offset + 6] |= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"train/cat/000\.png is not a readable image"):
        prepared(store, path)
    assert prepared(store, path, skip_unreadable=True).manifest.unreadable == 2


def test_image_size_brings_all_images_to_one_size(store, tmp_path):
    files = image_set() | {"train/cat/000.png": encoded(picture(0, 20, 30)),
                           "test/dog/000.png": encoded(picture(1, 40, 9))}
    data = prepared(store, write_folder(tmp_path / "a", files), image_size=16)
    assert data.manifest.image_size == [16, 16]
    assert data.images("train").shape == (18, 16, 16, 3)


# Folders that are no data

@pytest.mark.parametrize(("files", "named"), [
    ({}, "no images in train/<class>/"),
    ({p: d for p, d in image_set().items() if "test" in p}, "no images in train/<class>/"),
    ({p: d for p, d in image_set().items() if "train" in p}, "no images in test/<class>/"),
    (image_set(classes=("cat",)), r"one class only \(cat\)"),
    (image_set() | {"test/cow/0.png": encoded(picture(0))}, "classes that train/ lacks: cow"),
])
def test_folder_that_is_no_data_set(store, tmp_path, files, named):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=named):
        prepared(store, write_folder(tmp_path / "a", files))
    with pytest.raises(InputError, match=named):
        prepared(store, write_zip(tmp_path / "a.zip", files))


def test_a_misspelt_name_of_a_data_set_is_told_of_the_near_one(store, tmp_path):
    with pytest.raises(InputError, match=r"digts does not exist\. Did you mean digits\?"):
        prepared(store, tmp_path / "digts")


def test_source_that_does_not_exist(store, tmp_path):
    with pytest.raises(InputError, match=r"absent does not exist.*digits, cifar10"):
        prepared(store, tmp_path / "absent")


def test_file_that_is_no_zip(store, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="neither a folder nor a zip"):
        prepared(store, tmp_path / "a.zip")


def test_zip_whose_directory_is_damaged(store, tmp_path):
    path = write_zip(tmp_path / "a.zip", image_set())
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02")] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="not a readable zip"):
        prepared(store, path)


def test_relative_source_starts_at_the_study_file(store, tmp_path):
    write_folder(tmp_path / "studies" / "pets", image_set())
    data = prepare(store, Data(source="pets"), tmp_path / "studies", tmp_path / "cache")
    assert data.counts["test"] == 6


# What is stored

@pytest.mark.parametrize("name", ["test-images.npy", "test-labels.npy"])
def test_altered_array_is_noticed(store, tmp_path, name):
    data = prepared(store, write_folder(tmp_path / "a", image_set()))
    key = keys.data_file(data.fingerprint, name)
    raw = bytearray(store.read(key))
    raw[-1] ^= 1
    store.write(key, bytes(raw))
    opened = open_prepared(store, data.fingerprint, tmp_path / "cache")
    with pytest.raises(IntegrityError, match=f"{name} is not what its manifest says"):
        opened.images("test") if "images" in name else opened.labels("test")
    assert opened.labels("val").shape == (2,)


def test_altered_manifest_is_noticed(store, tmp_path):
    data = prepared(store, write_folder(tmp_path / "a", image_set()))
    key = keys.data_manifest(data.fingerprint)
    store.write(key, store.read(key).replace(b'"cat"', b'"cow"'))
    with pytest.raises(IntegrityError, match="altered"):
        open_prepared(store, data.fingerprint, tmp_path / "cache")


def test_data_that_was_not_prepared(store, tmp_path):
    with pytest.raises(MissingKey, match="no prepared data 0123456789ab"):
        open_prepared(store, "0123456789ab", tmp_path)


def test_digits_are_the_same_everywhere(store, tmp_path):
    data = prepare(store, Data(source="digits", val_images=100), tmp_path, tmp_path)
    assert data.counts == {"train": 500, "val": 100, "test": 1197}
    assert data.images("test").shape == (1197, 8, 8, 3)
    assert data.images("train").max() == 255
    assert np.bincount(data.labels("test")).min() > 100
    assert data.fingerprint == "035c91bd85e6"
