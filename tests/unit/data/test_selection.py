"""From a folder to the images that are used: copies, validation folders, classes that are missing, what is told."""

import errno
import hashlib
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from consort.data.findings import DUPLICATE, UNREADABLE, lines
from consort.data.manifests import _write
from consort.data.prepare import prepare
from consort.data.prepared import DataManifest
from consort.documents import from_json
from consort.errors import InputError, StoreUnavailable
from consort.store import Store, keys, open_store
from consort.study.data import Data
from image_files import encoded, image_set, picture, write_folder, write_zip
from prepared_images import further, prepared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def warnings_of(data) -> str:
    return "\n".join(data.manifest.found["warnings"])


def with_copies(**size: int) -> dict[str, bytes]:
    """A copy within train, one of a training image in test, one under another class."""
    files = image_set(6, 3, **size)
    return files | {"train/cat/copy.png": files["train/cat/001.png"], "test/dog/leak.png": files["train/dog/002.png"],
                    "train/dog/wrong.png": files["train/cat/000.png"]}


sizes = pytest.mark.parametrize("size", [{}, {"height": 230, "width": 240}], ids=["arrays", "files"])


@sizes
def test_copies_are_told_with_names(store, tmp_path, size):
    data = prepared(store, write_folder(tmp_path / "a", with_copies(**size)))
    told = warnings_of(data)
    assert "1 image of test is also in train: test/dog/leak.png = train/dog/002.png" in told
    assert "1 image has two classes: train/cat/000.png = train/dog/wrong.png" in told
    assert '"drop" keeps one of each' in told
    assert sum(data.counts.values()) == len(with_copies())
    assert prepared(store, write_folder(tmp_path / "b", image_set(6, 3, **size))).manifest.found["warnings"] == []


@sizes
def test_copies_are_dropped_from_what_is_trained_on(store, tmp_path, size):
    data = prepared(store, write_folder(tmp_path / "a", with_copies(**size)), duplicates="drop")
    assert data.manifest.found["warnings"] == []
    assert data.counts == {"train": 10, "val": 1, "test": 7}
    counts = data.manifest.found["counts"]
    assert counts["train"] == {"cat": {"taken": 6, DUPLICATE: 1}, "dog": {"taken": 5, DUPLICATE: 2}}
    assert counts["test"] == {"cat": {"taken": 3}, "dog": {"taken": 4}}


@sizes
def test_copies_between_splits_can_stop(store, tmp_path, size):
    with pytest.raises(InputError, match=r"duplicates is \"stop\".*test/dog/leak\.png = train/dog/002\.png.*drop"):
        prepared(store, write_folder(tmp_path / "a", with_copies(**size)), duplicates="stop")
    prepared(store, write_folder(tmp_path / "b", image_set(6, 3, **size)), duplicates="stop")


def test_pictures_of_other_files_with_the_same_pixels_are_copies(store, tmp_path):
    file = io.BytesIO()
    Image.fromarray(picture(0)).save(file, "BMP")
    data = prepared(store, write_folder(tmp_path / "a", image_set(6, 3) | {"test/cat/other.bmp": file.getvalue()}))
    assert "test/cat/other.bmp = train/cat/000.png" in warnings_of(data)


def test_a_test_folder_that_is_the_train_folder_is_seen(store, tmp_path):
    write_folder(tmp_path / "a", image_set(6, 0))
    (tmp_path / "a/test").symlink_to("train", target_is_directory=True)
    told = warnings_of(prepared(store, tmp_path / "a"))
    assert "11 images of test are also in train" in told and "1 image of test is also in val" in told


def test_named_data_has_no_choice_about_duplicates(store, tmp_path):
    with pytest.raises(InputError, match="duplicates is for image folders"):
        prepare(store, Data(source="digits", duplicates="drop"), tmp_path, tmp_path)


# Splits of a folder

@sizes
def test_a_validation_folder_is_the_validation_set(store, tmp_path, size):
    files = image_set(6, 3, **size)
    val = {f"valid/{label}/{i}.png": encoded(picture(900 + 10 * k + i, size.get("height", 8), size.get("width", 8)))
           for k, label in enumerate(("cat", "dog")) for i in range(5)}
    source = write_folder(tmp_path / "a", files | val)
    data = prepared(store, source)
    assert data.counts == {"train": 12, "val": 10, "test": 6}
    assert data.labels("val").tolist() == [0] * 5 + [1] * 5
    assert "valid/ is the validation set; none is taken out of train/." in data.manifest.found["notes"]
    if not size:
        assert data.images("val")[0].tolist() == picture(900).tolist()
    fewer = prepared(store, source, train_images=8, val_images=4)
    assert fewer.counts == {"train": 8, "val": 4, "test": 6}
    assert np.bincount(fewer.labels("val")).tolist() == [2, 2]
    with pytest.raises(InputError, match="val_images must not exceed the 10 images in valid/, got 11"):
        prepared(store, source, val_images=11)


def test_the_same_class_in_two_spellings_of_unicode(store, tmp_path):
    files = {path.replace("cat", "k\u00e4tzchen" if path.startswith("train") else "ka\u0308tzchen"): data
             for path, data in image_set(4, 2).items()}
    data = prepared(store, write_folder(tmp_path / "a", files))
    assert data.classes == ["dog", "k\u00e4tzchen"]
    assert data.labels("test").tolist() == [0, 0, 1, 1]


def test_unknown_classes_are_named_with_what_may_be_meant(store, tmp_path):
    files = {path.replace("test/cat", "test/Cat"): data for path, data in image_set(4, 2).items()}
    with pytest.raises(InputError, match=r"test/ has classes that train/ lacks: Cat\..*did you mean cat"):
        prepared(store, write_folder(tmp_path / "a", files))


def test_classes_that_a_split_lacks_are_told(store, tmp_path):
    files = {path: data for path, data in image_set(4, 2, ("cat", "cow", "dog")).items() if "test/cow" not in path}
    data = prepared(store, write_folder(tmp_path / "a", files))
    assert "no image in test of 1 of 3 classes: cow." in warnings_of(data)


@pytest.mark.parametrize("split", ["train", "test"])
@sizes
def test_a_class_that_skipping_empties_is_named(store, tmp_path, split, size):
    files = {path: b"" if path.startswith(f"{split}/dog") else data for path, data in image_set(4, 2, **size).items()}
    with pytest.raises(InputError, match=rf"in {split}/ no image can be used \(dog: unreadable"):
        prepared(store, write_folder(tmp_path / "a", files), skip_unreadable=True)


def test_large_images_that_cannot_be_read_are_found_while_preparing(store, tmp_path):
    files = image_set(4, 2, height=230, width=240)
    files["test/dog/001.png"] = files["test/dog/001.png"][:20_000]
    source = write_folder(tmp_path / "a", files)
    with pytest.raises(InputError, match=r"test/dog/001\.png is not a readable image.*skip_unreadable"):
        prepared(store, source)
    data = prepared(store, source, skip_unreadable=True)
    assert (data.manifest.unreadable, data.counts["test"]) == (1, 3)
    assert data.manifest.found["counts"]["test"]["dog"] == {"taken": 1, UNREADABLE: 1}
    assert any("test/dog/001.png" in line for line in lines(data.manifest.found))


def test_findings_of_a_further_test_set(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set()))
    files = {"test/dog/0.png": encoded(picture(77)), "test/dog/1.png": encoded(picture(77)), "test/dog/x.heic": b""}
    found = further(store, like, write_folder(tmp_path / "b", files)).manifest.found
    assert found["counts"] == {"test": {"dog": {"taken": 2, ".heic": 1}}}
    assert "1 of 2 images in test is a copy" in found["notes"][0]


# Stores that exist

def test_ordinary_images_are_the_data_that_they_always_were(store, tmp_path):
    """Fingerprints of before images were read as viewers show them."""
    assert prepared(store, write_folder(tmp_path / "a", image_set())).fingerprint == "2910218b2610"
    files = image_set()
    for index, (path, data) in enumerate(files.items()):
        file = io.BytesIO()
        Image.open(io.BytesIO(data)).convert(("RGB", "L", "1", "P")[index % 4]).save(file, "PNG")
        files[path] = file.getvalue()
    assert prepared(store, write_zip(tmp_path / "b.zip", files)).fingerprint == "8cf9f7f12706"


def test_ordinary_large_images_are_the_data_that_they_always_were(store, tmp_path):
    files = image_set(4, 1, height=230, width=240)
    files["train/cat/000.jpg"] = encoded(picture(500, 230, 240), "JPEG")
    data = prepared(store, write_folder(tmp_path / "a", files))
    content = hashlib.sha256()
    for path in data.paths("train") + data.paths("val") + data.paths("test"):
        content.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    assert data.manifest.content == content.hexdigest()


def test_large_images_that_are_shown_otherwise_than_stored_are_other_data(store, tmp_path):
    files = image_set(4, 1, height=230, width=240)
    turned, file = Image.Exif(), io.BytesIO()
    turned[0x0112] = 3
    Image.fromarray(picture(0, 230, 240)).save(file, "PNG", exif=turned)
    files["train/cat/000.png"] = file.getvalue()
    data = prepared(store, write_folder(tmp_path / "a", files))
    plain = hashlib.sha256()
    for path in data.paths("train") + data.paths("val") + data.paths("test"):
        plain.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    assert data.manifest.content != plain.hexdigest()


def test_a_manifest_of_before_has_nothing_to_tell(store, tmp_path):
    data = prepared(store, write_folder(tmp_path / "a", image_set()))
    key = keys.data_manifest(data.fingerprint)
    raw = store.read(key).replace(b'"found"', b'"something"')
    assert lines(from_json(DataManifest, raw, key).found) == []


# The folder for temporary files

def test_arrays_are_written_as_numpy_writes_them(tmp_path):
    for value in (np.arange(7), picture(0, 300, 400), np.zeros((0, 2), np.uint8), np.asfortranarray(picture(1))):
        _write(tmp_path / "ours.npy", value)
        np.save(tmp_path / "numpys.npy", value)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()


def test_a_full_folder_for_temporary_files_is_named(store, tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("consort.data.manifests._write", full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StoreUnavailable, match=rf"temporary files {tmp_path} is full \(preparing train-images"):
        prepared(store, write_folder(tmp_path / "a", image_set()))


def test_no_folder_for_temporary_files(store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no folder for temporary files.*TMPDIR"):
        prepared(store, write_folder(tmp_path / "a", image_set()))


def test_a_folder_that_goes_away_is_an_error_of_ours(store, tmp_path):
    source = write_folder(tmp_path / "a", image_set(2, 1, height=230, width=240))
    prepared(store, source)
    shutil.rmtree(source)
    with pytest.raises(InputError, match="does not exist"):
        prepared(store, source)
