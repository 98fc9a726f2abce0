"""Augmentation of batches against one image at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.data.augment import Crops, Draws, Normalise, cut_out, draw

untimed = settings(deadline=None)
CPU = torch.device("cpu")


@st.composite
def batches(draw_value):
    """Images uint8 [N, H, W, 3], the indices of a batch, its padding, whether it is flipped, and a seed."""
    height, width = draw_value(st.integers(2, 9)), draw_value(st.integers(2, 9))
    number, n = draw_value(st.integers(1, 5)), draw_value(st.integers(1, 6))
    seed = draw_value(st.integers(0, 10_000))
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (number, height, width, 3), dtype=np.uint8)
    padding = draw_value(st.integers(0, min(height, width) - 1))
    return images, random.integers(0, number, n), padding, draw_value(st.booleans()), seed


def padded_cropped_flipped(image: np.ndarray, padding: int, shift_y: int, shift_x: int, flip: bool) -> np.ndarray:
    height, width = image.shape[:2]
    wide = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    top, left = padding + shift_y, padding + shift_x
    crop = wide[top:top + height, left:left + width]
    return crop[:, ::-1] if flip else crop


@untimed
@given(batches())
def test_crops_are_reflect_pad_crop_and_flip_of_each_image(case):
    images, index, padding, flip, seed = case
    draws = draw(len(index), images.shape[1:3], padding, flip, np.random.default_rng(seed))
    crops = Crops(images.shape[1:3], padding, CPU)
    found = crops(torch.from_numpy(images), torch.from_numpy(index), *torch.from_numpy(crops.choices(draws)))
    assert found.dtype == torch.uint8
    for position, image in enumerate(index):
        expected = padded_cropped_flipped(images[image], padding, draws.shift_y[position], draws.shift_x[position],
                                          draws.flip[position])
        assert np.array_equal(found[position].numpy(), expected)


def test_draws_cover_all_shifts_and_half_of_the_flips():
    draws = draw(4000, (8, 6), 2, True, np.random.default_rng(0))
    assert set(draws.shift_y) == set(draws.shift_x) == {-2, -1, 0, 1, 2}
    assert draws.flip.mean() == pytest.approx(0.5, abs=0.05)
    assert (set(draws.hole_y), set(draws.hole_x)) == (set(range(8)), set(range(6)))
    assert np.corrcoef(draws.shift_y, draws.shift_x)[0, 1] == pytest.approx(0, abs=0.05)


def test_without_augmentation_images_stay_as_they_are():
    images = torch.randint(0, 256, (3, 5, 7, 3), dtype=torch.uint8)
    draws = draw(3, (5, 7), 0, False, np.random.default_rng(0))
    crops = Crops((5, 7), 0, CPU)
    found = crops(images, torch.tensor([2, 0, 1]), *torch.from_numpy(crops.choices(draws)))
    assert torch.equal(found, images[[2, 0, 1]])


@untimed
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 100))
def test_shares_of_all_processes_are_the_whole_draw(processes, each, seed):
    whole = draw(processes * each, (8, 8), 3, True, np.random.default_rng(seed))
    for name in Draws.__dataclass_fields__:
        joined = np.empty_like(getattr(whole, name))
        for rank in range(processes):
            joined[rank::processes] = getattr(whole.part(rank, processes), name)
        assert np.array_equal(joined, getattr(whole, name))


def test_normalise_gives_mean_0_and_deviation_1_in_channels_last():
    images = torch.randint(0, 256, (50, 6, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[..., 1] //= 3  # channels differ, so that mixing them up is seen
    levels = images.double() / 255
    mean, std = (f(dim=(0, 1, 2)).tolist() for f in (levels.mean, lambda dim: levels.std(dim, correction=0)))
    x = Normalise(mean, std, CPU)(images)
    assert (x.dtype, tuple(x.shape)) == (torch.float32, (50, 3, 6, 4))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert x.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    expected = (levels[7, 2, 3] - torch.tensor(mean)) / torch.tensor(std)
    assert x[7, :, 2, 3].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@untimed
@given(batches(), st.integers(1, 12))
def test_cut_out_clears_a_square_around_the_hole(case, side):
    images, index, padding, flip, seed = case
    height, width = images.shape[1:3]
    draws = draw(len(index), (height, width), padding, flip, np.random.default_rng(seed))
    holes = torch.from_numpy(draws.hole_y), torch.from_numpy(draws.hole_x)
    x = cut_out(torch.ones(len(index), 3, height, width), *holes, side)
    for i in range(len(index)):
        top, left = draws.hole_y[i] - side // 2, draws.hole_x[i] - side // 2
        expected = np.ones((3, height, width))
        expected[:, max(top, 0):max(top + side, 0), max(left, 0):max(left + side, 0)] = 0
        assert np.array_equal(x[i].numpy(), expected)
