"""Large images, which stay files."""

from pathlib import Path

import pytest

from consort.data.image_folder import ImageFolder
from consort.store import Store, open_store
from image_files import encoded, image_set, picture, write_folder, write_zip
from prepared_images import further, prepared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_large_images_are_listed_and_not_copied(store, tmp_path):
    folder = write_folder(tmp_path / "large", image_set(3, 1, height=230, width=240))
    data = prepared(store, folder)
    assert (data.manifest.layout, data.counts) == ("files", {"train": 5, "val": 1, "test": 2})
    assert data.image_root == folder
    assert sorted(data.paths("train") + data.paths("val")) == [e.path for e in ImageFolder(folder).train()]
    for split in ("train", "val", "test"):
        assert [data.classes[label] for label in data.labels(split)] == [p.split("/")[1] for p in data.paths(split)]
    assert not [key for key in store.list("data") if "images" in key]


def test_fingerprint_of_large_images_is_of_their_content(store, tmp_path):
    files = image_set(3, 1, height=230, width=240)
    plain = prepared(store, write_folder(tmp_path / "a", files))
    moved = prepared(store, write_zip(tmp_path / "b.zip", files))
    assert moved.fingerprint == plain.fingerprint
    assert moved.image_root == tmp_path / "b.zip"
    other = prepared(store, write_folder(tmp_path / "c", {**files, "test/cat/000.png": encoded(picture(9, 230, 240))}))
    assert other.fingerprint != plain.fingerprint


def test_large_images_of_several_sizes_stay_files(store, tmp_path):
    files = image_set(3, 1, height=230, width=240) | {"train/cat/000.png": encoded(picture(0, 300, 100))}
    assert prepared(store, write_folder(tmp_path / "a", files)).manifest.layout == "files"


def test_further_test_set_of_large_images(store, tmp_path):
    files = image_set(3, 1, height=230, width=240)
    like = prepared(store, write_folder(tmp_path / "a", files))
    data = further(store, like, write_folder(tmp_path / "b", {p: d for p, d in files.items() if "test/dog" in p}))
    assert (data.manifest.layout, data.labels("test").tolist()) == ("files", [1])
    assert data.image_root == tmp_path / "b"
