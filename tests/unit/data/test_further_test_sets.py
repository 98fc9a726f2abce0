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


@pytest.mark.parametrize("side", [8, 230], ids=["arrays", "files"])
def test_copies_of_training_images_are_told_or_refused(store, tmp_path, side):
    files = image_set(train=5, test=1, height=side, width=side)
    like = prepared(store, write_folder(tmp_path / "a", files), val_images=2)
    new = {"test/dog/new.png": encoded(picture(99, side, side))}
    shifted = new | {f"test/cat/{i}.png": files[f"train/cat/00{i}.png"] for i in range(5)} | {
        f"test/dog/{i}.png": files[f"train/dog/00{i}.png"] for i in range(5)}
    warnings = further(store, like, write_folder(tmp_path / "b", shifted)).manifest.found["warnings"]
    assert [w.split(":")[0] for w in warnings] == ["8 of 11 images are also in train of the training data",
                                                  "2 of 11 images are also in val of the training data"]
    with pytest.raises(InputError, match=r'8 of 11 images are also in train .*test/cat/.*"stop"'):
        further(store, like, tmp_path / "b", duplicates="stop")
    assert further(store, like, write_folder(tmp_path / "c", new)).manifest.found["warnings"] == []


def test_large_training_images_whose_contents_nobody_kept_are_not_compared(store, tmp_path):
    files = image_set(train=5, test=1, height=230, width=230)
    like = prepared(store, write_folder(tmp_path / "a", files))
    copy = {"test/cat/0.png": files["train/cat/000.png"], "test/cat/1.png": files["train/cat/001.png"]}
    for split, damaged in (("train", b""), ("val", b"no array")):
        key = f"data/{like.fingerprint}/{split}-contents.npy"
        assert store.exists(key)
        store.write(key, damaged)
    found = further(store, like, write_folder(tmp_path / "b", copy)).manifest.found
    assert found["warnings"] == []
