"""Which images are kept for validation, and the statistics of the others."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.data.splits import channel_statistics, split_indices
from consort.errors import InputError
from consort.store import Store, open_store
from consort.study.data import Data
from image_files import image_set, write_folder
from prepared_images import prepared

untimed = settings(deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@untimed
@given(st.lists(st.integers(2, 60), min_size=2, max_size=6), st.floats(0.05, 0.6), st.integers(0, 1000), st.data())
def test_split_is_disjoint_stratified_and_fixed_by_its_seed(per_class, share, seed, data):
    labels = np.repeat(np.arange(len(per_class)), per_class)
    np.random.default_rng(seed).shuffle(labels)
    num_val = max(1, int(share * len(labels)))
    num_train = data.draw(st.integers(1, len(labels) - num_val))
    chosen = Data(source="x", val_images=num_val, train_images=num_train, split_seed=seed)
    train, val = split_indices(labels, chosen)
    assert (len(train), len(val)) == (num_train, num_val)
    assert len(set(train) | set(val)) == num_train + num_val
    assert train.tolist() == sorted(train)
    for label, count in enumerate(per_class):
        for part in (train, val):
            expected = len(part) * count / len(labels)
            # Each class is cut at two places that all classes share, each exact to one image.
            assert abs((labels[part] == label).sum() - expected) <= 2 + 2 * len(per_class) * count / len(labels)
    again = split_indices(labels, chosen)
    assert all(np.array_equal(a, b) for a, b in zip((train, val), again, strict=True))


def test_split_of_even_classes_is_even_and_differs_between_seeds():
    labels = np.arange(1000) % 10
    splits = [split_indices(labels, Data(source="x", val_images=100, split_seed=seed)) for seed in (0, 1)]
    for train, val in splits:
        assert np.bincount(labels[val]).tolist() == pytest.approx([10] * 10, abs=1)
        assert len(train) == 900
    assert set(splits[0][1]) != set(splits[1][1])


def test_a_tenth_is_for_validation_by_default():
    train, val = split_indices(np.arange(50) % 2, Data(source="x"))
    assert (len(train), len(val)) == (45, 5)


@pytest.mark.parametrize(("numbers", "rule"), [
    ({"val_images": 20}, "val_images must leave at least one of the 20 images in train/ to train on, got 20"),
    ({"val_images": 5, "train_images": 16}, r"must not exceed the 20 images in train/, got 16 \+ 5"),
])
def test_more_images_than_there_are(numbers, rule):
    with pytest.raises(InputError, match=rule):
        split_indices(np.arange(20) % 2, Data(source="x", **numbers))


def test_statistics_are_those_of_the_training_images(store, tmp_path):
    data = prepared(store, write_folder(tmp_path / "a", image_set()))
    levels = data.images("train").astype(np.float64) / 255
    assert data.manifest.mean == pytest.approx(levels.mean((0, 1, 2)).tolist())
    assert data.manifest.std == pytest.approx(levels.std((0, 1, 2)).tolist())


def test_deviation_of_a_constant_channel_can_be_divided_by():
    assert min(channel_statistics(np.full((2, 4, 4, 3), 7, np.uint8))[1]) > 0
