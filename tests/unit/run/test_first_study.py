"""`consort init --data`: a study that fits the images that are there."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.data.prepare import prepare
from consort.data.sample import Sample
from consort.errors import InputError
from consort.run.first_study import Seen, decide, first_study, flips, text
from consort.store import open_store
from consort.study.file import Study, load_study
from image_files import encoded, image_set, picture, write_folder, write_zip


def photos(low: int, **counts) -> dict[str, bytes]:
    """Images of several sizes, each side at least `low`."""
    return {path: encoded(picture(i, low + i % 3, low + i % 5)) for i, path in enumerate(image_set(**counts))}


def seen(sizes=((40, 30), (50, 60)), train=100, val=0) -> Seen:
    return Seen(Path("photos"), {"cat": train // 2, "dog": train - train // 2}, val, 10, Sample(tuple(sizes)))


def written(folder: Path, source: Path, gpu: bool = False) -> Study:
    path = folder / "study.toml"
    path.write_text(first_study(str(source), path, gpu), encoding="utf-8")
    return load_study(path)


@pytest.mark.parametrize("as_zip", [False, True])
def test_study_for_a_folder_or_zip_is_read_and_its_data_are_prepared(tmp_path, as_zip):
    files, name = photos(70, train=30, test=4), "My photos (2)"
    source = write_zip(tmp_path / f"{name}.zip", files) if as_zip else write_folder(tmp_path / name, files)
    study = written(tmp_path, source)
    assert (study.name, study.data.image_size, study.data.val_images) == ("my-photos-2", 64, 12)
    assert (study.recipe.batch_size, study.recipe.epochs, study.recipe.crop_padding) == (8, 167, 8)
    assert (study.recipe.learning_rate, study.recipe.flip) == (0.013, True)
    assert list(study.architectures) == ["wrn-10-1", "wrn-10-2", "wrn-16-1", "wrn-16-2"]
    data = prepare(open_store(str(tmp_path / "store")), study.data, tmp_path, tmp_path / "cache")
    assert (data.manifest.image_size, data.counts) == ([64, 64], {"train": 48, "val": 12, "test": 8})


def test_with_a_gpu_images_stay_larger_and_large_ones_are_streamed(tmp_path):
    study = written(tmp_path, write_folder(tmp_path / "a", photos(70)), gpu=True)
    assert (study.data.image_size, "resnet50" in study.architectures, study.recipe.crop_padding) == (64, False, 8)
    study = written(tmp_path, write_folder(tmp_path / "b", photos(100)), gpu=True)
    assert (study.data.image_size, "resnet50" in study.architectures, study.recipe.crop_padding) == (96, True, 12)
    study = written(tmp_path, write_folder(tmp_path / "c", photos(224)), gpu=True)
    assert (study.data.image_size, study.recipe.crop_scale) == (None, 0.25)
    assert prepare(open_store(str(tmp_path / "store")), study.data, tmp_path, tmp_path).manifest.layout == "files"


def test_images_of_one_size_keep_it(tmp_path):
    study = written(tmp_path, write_folder(tmp_path / "a", image_set(height=28, width=28)))
    assert (study.data.image_size, study.recipe.crop_padding) == (None, 3)
    assert decide(seen([(640, 480)]), gpu=False).image_size == 64
    assert decide(seen([(64, 48)]), gpu=False).image_size is None
    assert decide(seen([(65, 48)]), gpu=False).image_size == 48
    assert decide(seen([(20, 5)]), gpu=False).image_size == 8


def test_a_validation_folder_is_used(tmp_path):
    files = image_set() | {"val/cat/0.png": encoded(picture(70)), "val/dog/0.png": encoded(picture(71))}
    study = written(tmp_path, write_folder(tmp_path / "a", files))
    assert study.data.val_images is None
    assert study.recipe.batch_size == 8


@pytest.mark.parametrize(("train", "val"), [(2, 1), (9, 1), (100, 20), (1000, 200), (1500, 200), (50_000, 5000)])
def test_validation_share(train, val):
    assert decide(seen(train=train), gpu=False).val_images == val


@given(st.integers(2, 2_000_000), st.integers(0, 10), st.booleans(),
       st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=5))
def test_any_numbers_give_a_study_that_can_be_trained(train, val, gpu, sizes):
    looked = seen(sizes, train, val)
    chosen = decide(looked, gpu)
    study = Study.model_validate(tomllib.loads(text(looked, chosen, "photos", gpu)))
    num_train = train - (study.data.val_images or 0)
    assert 1 <= study.recipe.batch_size <= num_train
    assert study.recipe.epochs >= 10
    assert study.recipe.crop_padding < chosen.side
    assert 3 <= len(study.architectures) <= 4


@pytest.mark.parametrize(("classes", "flipped"), [
    (["cat", "dog"], True), (list("0123456789"), False), (["A", "b"], False), (["1", "10"], True),
    (["turn left", "turn right"], False), (["arrow-Left", "other"], False), (["copyright", "leftover"], True),
])
def test_mirrored_images_are_of_the_same_class_unless_names_say_otherwise(classes, flipped):
    assert flips(classes) == flipped


@pytest.mark.parametrize(("file", "source"), [
    ("study.toml", 'odd "name"\\ é'), ("../study.toml", 'here/odd "name"\\ é'), ("deep/study.toml", None)])
def test_source_is_named_from_where_the_study_lies(tmp_path, monkeypatch, file, source):
    folder = write_folder(tmp_path / "here" / 'odd "name"\\ é', image_set())
    monkeypatch.chdir(tmp_path / "here")
    path = Path(file) if ".." not in file else tmp_path / "study.toml"
    named = tomllib.loads(first_study(folder.name, path, gpu=False))["data"]["source"]
    assert named == (source or str(folder))


def test_what_is_no_data_for_a_study(tmp_path):
    def refuses(files: dict[str, bytes], why: str, source: str | None = None) -> None:
        folder = write_folder(tmp_path / str(len(list(tmp_path.iterdir()))), files)
        with pytest.raises(InputError, match=why):
            first_study(source or str(folder), tmp_path / "study.toml", gpu=False)

    refuses(image_set(), "for digits write a file without --data", "digits")
    refuses(image_set(), "does not exist", "absent")
    refuses(image_set(classes=("cat",)), "one class only")
    refuses({p: d for p, d in image_set().items() if "train" in p}, "no images in test/")
    refuses(image_set() | {"test/cow/0.png": b""}, "classes that train/ lacks: cow")
    refuses(dict.fromkeys(image_set(), b"broken"), "none of the images that were looked at can be read")
