"""Batches: a step's batch depends on (seed, step) alone, and labels follow their images."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from consort.data.batches import TrainingBatches, prediction_batches
from consort.data.image_folder import ImageFolder
from consort.data.prepare import prepare
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.store import open_store
from consort.study.data import Data
from consort.study.recipe import Recipe
from image_files import encoded, image_set, write_folder

CPU = torch.device("cpu")
PLAIN = Recipe(batch_size=4, crop_padding=0, flip=False)
AUGMENTED = Recipe(batch_size=4, crop_padding=2, flip=True, cutout=3)
LARGE = Recipe(batch_size=2, crop_scale=0.3)


def prepared(tmp_path: Path, files: dict[str, bytes], **settings: int) -> Prepared:
    write_folder(tmp_path / "images", files)
    store = open_store(str(tmp_path / "store"))
    return prepare(store, Data(source=str(tmp_path / "images"), **settings), Path(), tmp_path / "cache")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """18 training images of 8x8 pixels in two classes, kept as arrays."""
    return prepared(tmp_path_factory.mktemp("small"), image_set())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """6 training images of 230x240 pixels, streamed; cats are dark and dogs are bright, so that labels can be seen."""
    files = {f"{split}/{label}/{i}.png": encoded(np.full((230, 240, 3), level + i, np.uint8))
             for split, count in (("train", 4), ("test", 3))
             for label, level in (("cat", 10), ("dog", 200)) for i in range(count)}
    return prepared(tmp_path_factory.mktemp("large"), files, val_images=2)


def training(data: Prepared, recipe: Recipe = AUGMENTED, seed: int = 0, rank: int = 0, processes: int = 1,
             input_size: int | None = None) -> TrainingBatches:
    return TrainingBatches(data, recipe, seed, input_size, CPU, rank, processes)


def same(a: list[tuple[Tensor, Tensor]], b: list[tuple[Tensor, Tensor]]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, u) and torch.equal(y, v)
                                    for (x, y), (u, v) in zip(a, b, strict=True))


def test_shapes_and_number_of_steps(small):
    batches = training(small)
    assert batches.steps_per_epoch == 4
    for x, y in batches.from_step(0, 9):
        assert (tuple(x.shape), x.dtype, tuple(y.shape), y.dtype) == ((4, 3, 8, 8), torch.float32, (4,), torch.int64)


def test_resuming_anywhere_gives_the_batches_of_an_uninterrupted_training(small):
    whole = list(training(small).from_step(0, 10))
    for first in (1, 4, 6, 9):  # within an epoch, at its start, and in the last one
        assert same(list(training(small).from_step(first, 10)), whole[first:])


def test_order_does_not_depend_on_what_was_asked_before(small):
    batches = training(small)
    late, early = list(batches.from_step(8, 9)), list(batches.from_step(0, 1))
    assert same(late + early, [*training(small).from_step(8, 9), *training(small).from_step(0, 1)])


def test_seeds_and_steps_differ(small):
    first, second = (list(training(small, seed=seed).from_step(0, 5)) for seed in (0, 1))
    assert not same(first, second)
    assert not torch.equal(first[0][0], first[4][0])


def test_epoch_shows_each_image_at_most_once_with_its_label(small):
    mean, std = (np.array(v) for v in (small.manifest.mean, small.manifest.std))
    expected = {image.tobytes(): int(label)
                for image, label in zip(small.images("train"), small.labels("train"), strict=True)}
    seen: dict[bytes, int] = {}
    for x, y in training(small, PLAIN).from_step(0, 4):
        pixels = np.round((x.permute(0, 2, 3, 1).numpy() * std + mean) * 255).astype(np.uint8)
        for image, label in zip(pixels, y.tolist(), strict=True):
            assert image.tobytes() not in seen
            seen[image.tobytes()] = label
    assert len(seen) == 16
    assert seen.items() <= expected.items()


def test_epochs_show_images_in_different_orders(small):
    labels = [[y.tolist() for _, y in training(small, PLAIN).from_step(e * 4, e * 4 + 4)] for e in range(3)]
    assert labels[0] != labels[1] != labels[2]


@pytest.mark.parametrize("processes", [2, 4])
def test_shares_of_all_processes_are_the_batch_of_one(small, processes):
    whole = list(training(small).from_step(0, 6))
    shares = [list(training(small, rank=rank, processes=processes).from_step(0, 6)) for rank in range(processes)]
    for step, (x, y) in enumerate(whole):
        for rank in range(processes):
            assert torch.equal(x[rank::processes], shares[rank][step][0])
            assert torch.equal(y[rank::processes], shares[rank][step][1])


@pytest.mark.parametrize(("recipe", "processes", "rule"), [
    (Recipe(batch_size=19), 1, "must not exceed the number of training images, got 19 and 18"),
    (Recipe(batch_size=4), 3, "must be a multiple of the number of processes, got 4 and 3"),
    (Recipe(batch_size=4, crop_padding=8), 1, "crop_padding must be less than the side.*got 8 and 8x8"),
])
def test_impossible_recipe_is_refused(small, recipe, processes, rule):
    with pytest.raises(InputError, match=rule):
        training(small, recipe, processes=processes)


def test_widest_border_that_can_be_reflected(small):
    assert len(list(training(small, Recipe(batch_size=4, crop_padding=7)).from_step(0, 4))) == 4


def test_prediction_shows_every_image_in_order_and_as_it_is(small):
    parts = list(prediction_batches(small, "test", None, CPU, batch_size=4))
    assert [len(part) for part in parts] == [4, 2]
    levels = torch.from_numpy(np.asarray(small.images("test"))).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (small.manifest.mean, small.manifest.std))
    assert torch.cat(parts).numpy() == pytest.approx(((levels - mean) / std).numpy(), abs=1e-5)


# Streamed images

threads_may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
"""torch's loader forks; Python 3.12 and later warn of it in a process with threads."""


def bright(x: Tensor) -> list[int]:
    return (x.mean((1, 2, 3)) > 0).long().tolist()


def test_streamed_batches_have_the_size_and_labels_of_their_images(large):
    batches = training(large, LARGE, input_size=64)
    assert batches.steps_per_epoch == 3
    for x, y in batches.from_step(0, 6):
        assert (tuple(x.shape), x.dtype) == ((2, 3, 64, 64), torch.float32)
        assert bright(x) == y.tolist()


@threads_may_fork
def test_streamed_batches_do_not_depend_on_loader_processes_or_the_first_step(tmp_path):
    data = prepared(tmp_path, image_set(4, 1, height=230, width=240))
    whole = list(training(data, LARGE, input_size=32).from_step(0, 5))
    assert same(list(training(data, LARGE, input_size=32).from_step(0, 5, workers=1)), whole)
    assert same(list(training(data, LARGE, input_size=32).from_step(3, 5)), whole[3:])
    assert not torch.equal(whole[0][0], whole[3][0])
    shares = [list(training(data, LARGE, rank=rank, processes=2, input_size=32).from_step(0, 5)) for rank in (0, 1)]
    for step, (x, _) in enumerate(whole):
        assert torch.equal(x, torch.cat([share[step][0] for share in shares]))


def test_streamed_training_is_not_planned_to_its_end_in_advance(large):
    class Counting(TrainingBatches):
        planned = 0

        def _streamed_items(self, step: int) -> list[tuple[int, int]]:
            self.planned += 1
            return super()._streamed_items(step)

    batches = Counting(large, LARGE, 0, 16, CPU)
    steps = batches.from_step(0, 1000)
    assert next(steps)[0].shape == (2, 3, 16, 16)
    steps.close()
    assert 1 <= batches.planned < 10


@threads_may_fork
def test_streamed_prediction_sees_the_centre_in_order(large):
    for workers in (0, 1):
        parts = list(prediction_batches(large, "test", 56, CPU, batch_size=4, workers=workers))
        assert [tuple(part.shape) for part in parts] == [(4, 3, 56, 56), (2, 3, 56, 56)]
        assert bright(torch.cat(parts)) == large.labels("test").tolist() == [0, 0, 0, 1, 1, 1]


def test_streamed_image_that_became_unreadable_is_named(tmp_path):
    data = prepared(tmp_path, image_set(2, 1, height=230, width=240))
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"train/\w+/\d+\.png is not a readable image"):
        list(training(data, LARGE, input_size=32).from_step(0, 1))
    with pytest.raises(InputError, match=r"test/cat/000\.png is not a readable image"):
        list(prediction_batches(data, "test", 32, CPU))


@threads_may_fork
def test_an_unreadable_streamed_image_in_a_loader_process_is_one_sentence(tmp_path):
    data = prepared(tmp_path, image_set(3, 2, height=230, width=240))
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:3000])
    for batches in (training(data, LARGE, input_size=32).from_step(0, 1, workers=2),
                    prediction_batches(data, "test", 32, CPU, workers=2)):
        with pytest.raises(InputError, match="is not a readable image") as raised:
            list(batches)
        assert "Traceback" not in str(raised.value) and "\n" not in str(raised.value)


@threads_may_fork
def test_a_loader_process_that_is_killed_is_an_error_with_a_remedy(tmp_path):
    data = prepared(tmp_path, image_set(3, 2, height=230, width=240))

    batches = training(data, LARGE, input_size=32)
    parent = os.getpid()
    real = ImageFolder.read

    def read(self: ImageFolder, path: str) -> bytes:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, path)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(InputError, match=r"memory.*loader_workers = 0"):
        patched.setattr(ImageFolder, "read", read)
        list(batches.from_step(0, 1, workers=1))
