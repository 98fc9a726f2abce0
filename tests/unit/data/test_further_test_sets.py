"""Further test sets: prepared like the data that members are trained on."""

from pathlib import Path

import pytest

from consort.errors import InputError
from consort.store import Store, open_store
from image_files import encoded, image_set, picture, write_folder
from prepared_images import further, prepared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_further_test_set_keeps_class_numbers_and_statistics(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set()))
    only_dogs = {"test/dog/0.png": encoded(picture(77)), "test/dog/1.png": encoded(picture(78, 16, 16))}
    data = further(store, like, write_folder(tmp_path / "b", only_dogs))
    assert (data.classes, data.counts, data.manifest.mean) == (like.classes, {"test": 2}, like.manifest.mean)
    assert data.labels("test").tolist() == [1, 1]
    assert data.images("test")[0].tolist() == picture(77).tolist()
    assert data.images("test").shape == (2, 8, 8, 3)
    assert data.fingerprint != like.fingerprint


def test_further_test_set_of_oblong_images_is_not_squared(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set(height=8, width=12)))
    same = further(store, like, write_folder(tmp_path / "b", {"test/dog/0.png": encoded(picture(5, 8, 12))}))
    assert same.images("test").shape == (1, 8, 12, 3)
    with pytest.raises(InputError, match="shifted has images of 8x8 pixels, the training data of 8x12"):
        further(store, like, write_folder(tmp_path / "c", {"test/dog/0.png": encoded(picture(5))}))


def test_further_test_set_with_an_unknown_class(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set()))
    folder = write_folder(tmp_path / "b", {"test/cow/0.png": encoded(picture(0))})
    with pytest.raises(InputError, match="shifted has classes that the training data lacks: cow"):
        further(store, like, folder)


def test_further_test_set_must_be_images(store, tmp_path):
    like = prepared(store, write_folder(tmp_path / "a", image_set()))
    with pytest.raises(InputError, match="must be an image folder or zip"):
        further(store, like, Path("digits"))
