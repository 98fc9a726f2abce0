"""Batches for training and for prediction, from arrays in memory or from images that are decoded on the way."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from consort.data.augment import Crops, Normalise, cut_out, draw
from consort.data.decode import decode, unreadable
from consort.data.image_folder import ImageFolder
from consort.data.prepared import Prepared
from consort.errors import ConsortError, InputError
from consort.study.recipe import Recipe

EVAL_CROP = 0.875
"""Streamed images are resized so that the network sees the central 87.5 %, as torchvision's weights expect."""
_ORDER, _DRAW = 0, 1
"""Streams of random numbers: the order of an epoch, and the draws of a step."""


def random_stream(seed: int, stream: int, position: int) -> np.random.Generator:
    """The random numbers of one place in a training: no state has to be saved to resume there."""
    return np.random.default_rng([seed, stream, position])


CHOICES = 5
"""Whole numbers for an image of a batch: which it is, two for its crop, two for its hole."""
_Gathered = tuple[Tensor, Tensor, Tensor | None]
"""uint8 images [n, H, W, 3], labels [n], and where holes are [2, n], if any are cut."""


class TrainingBatches:
    """The training images of one member, batch by batch; a step's batch depends on (seed, step) alone."""

    def __init__(self, data: Prepared, recipe: Recipe, seed: int, input_size: int | None, device: torch.device,
                 rank: int = 0, processes: int = 1) -> None:
        count = data.counts["train"]
        if recipe.batch_size > count:
            raise InputError(f"batch_size must not exceed the number of training images, got {recipe.batch_size} and "
                             f"{count}. Set [recipe] batch_size.")
        if recipe.batch_size % processes:
            raise InputError(f"batch_size must be a multiple of the number of processes, got {recipe.batch_size} and "
                             f"{processes}.")
        size = data.manifest.image_size
        if size is not None and recipe.crop_padding >= min(size):
            raise InputError(f"crop_padding must be less than the side of the images, which it reflects, got "
                             f"{recipe.crop_padding} and {size[0]}x{size[1]} pixels. Set [recipe] crop_padding.")
        self.data, self.recipe, self.seed, self.device = data, recipe, seed, device
        self.rank, self.processes, self.input_size = rank, processes, input_size
        self.steps_per_epoch = count // recipe.batch_size
        self.labels = torch.from_numpy(data.labels("train"))
        self.streamed = data.manifest.layout == "files"
        self.images = None if self.streamed else _tensor(data, "train")
        self.normalise = Normalise(data.manifest.mean, data.manifest.std, device)
        self._crops: dict[torch.device, Crops] = {}

    def from_step(self, first: int, last: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(float32 [n, 3, H, W] normalised and augmented, int64 [n]) for the steps first..last-1."""
        loaded = (self._streamed(first, last, workers) if self.streamed
                  else (self._gathered_here(step) for step in range(first, last)))
        for images, labels, holes in _sent_ahead(loaded, self.device):
            yield self._finished(images, holes), labels

    def _streamed(self, first: int, last: int, workers: int) -> Iterator[_Gathered]:
        assert self.input_size is not None
        dataset = _CroppedImages(self.data, self.input_size, self.recipe.crop_scale)
        plan = (self._streamed_items(step) for step in range(first, last))  # drawn as the loader asks
        loader: Any = DataLoader(dataset, batch_sampler=plan, num_workers=workers, collate_fn=_stack,
                                 pin_memory=self.device.type == "cuda")
        for step, (images, labels) in zip(range(first, last), _loaded(loader), strict=True):
            mirrored = self._random(step).random(self.recipe.batch_size) < (0.5 if self.recipe.flip else 0.0)
            flip = torch.from_numpy(mirrored[self.rank::self.processes])
            images[flip] = images[flip].flip(2)
            yield images, labels, None

    def choices(self, step: int) -> np.ndarray:
        """int64 [CHOICES, n]: which images of the arrays make this process's share of a step, how each is cropped, and
        where its hole is."""
        assert self.images is not None
        height, width = self.images.shape[1:3]
        draws = draw(self.recipe.batch_size, (height, width), self.recipe.crop_padding, self.recipe.flip,
                     self._random(step)).part(self.rank, self.processes)
        return np.concatenate([self._indices(step)[None], self.crops(self.images.device).choices(draws),
                               [draws.hole_y, draws.hole_x]])

    def assemble(self, images: Tensor, labels: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """The batch that `choices` says, of uint8 images [N, H, W, 3] and labels that lie on the same device as it."""
        cropped, of_them, holes = self._gathered(images, labels, choices)
        return self._finished(cropped, holes), of_them

    def _gathered_here(self, step: int) -> _Gathered:
        assert self.images is not None
        return self._gathered(self.images, self.labels, torch.from_numpy(self.choices(step)))

    def _gathered(self, images: Tensor, labels: Tensor, choices: Tensor) -> _Gathered:
        index, down, across, *_ = choices.unbind()
        holes = choices[-2:] if self.recipe.cutout else None
        return self.crops(images.device)(images, index, down, across), labels.index_select(0, index), holes

    def _finished(self, images: Tensor, holes: Tensor | None) -> Tensor:
        """What the network takes, on its device."""
        x = self.normalise(images)
        return x if holes is None else cut_out(x, holes[0], holes[1], self.recipe.cutout)

    def crops(self, device: torch.device) -> Crops:
        """Of the arrays' images where they lie."""
        if device not in self._crops:
            assert self.images is not None
            height, width = self.images.shape[1:3]
            self._crops[device] = Crops((height, width), self.recipe.crop_padding, device)
        return self._crops[device]

    def _indices(self, step: int) -> np.ndarray:
        """This process's share of the images of a step; the last, incomplete batch of an epoch is left out."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._order = random_stream(self.seed, _ORDER, epoch).permutation(len(self.labels))
        start = batch * self.recipe.batch_size
        return self._order[start:start + self.recipe.batch_size][self.rank::self.processes]

    def _streamed_items(self, step: int) -> list[tuple[int, int]]:
        """(image, seed of its crop) for the data loader's workers."""
        crops = self._random(step).integers(0, 2**31, self.recipe.batch_size)[self.rank::self.processes]
        return list(zip(self._indices(step).tolist(), crops.tolist(), strict=True))

    def _random(self, step: int) -> np.random.Generator:
        return random_stream(self.seed, _DRAW, step)


def prediction_batches(data: Prepared, split: str, input_size: int | None, device: torch.device,
                       batch_size: int = 250, workers: int = 0) -> Iterator[Tensor]:
    """float32 [n, 3, H, W] over a whole split in its fixed order, normalised, not augmented."""
    normalise = Normalise(data.manifest.mean, data.manifest.std, device)
    if data.manifest.layout == "arrays":
        for images in _tensor(data, split).split(batch_size):
            yield normalise(images)
        return
    assert input_size is not None
    loader: Any = DataLoader(_CentredImages(data, split, input_size), batch_size=batch_size, num_workers=workers,
                             collate_fn=_stack)
    for images, _ in _loaded(loader):
        yield normalise(images)


def _tensor(data: Prepared, split: str) -> Tensor:
    """uint8 [N, H, W, 3] on the mapped file; the pages are shared by all members on a machine."""
    mapped = data.images(split)
    return torch.from_numpy(np.asarray(mapped))


def _sent_ahead(batches: Iterator[_Gathered], device: torch.device) -> Iterator[_Gathered]:
    """Each batch on the device. To a GPU the next one is on its way, from pinned memory and on a stream of its own,
    while the device works on the one before."""
    if device.type == "cpu":
        yield from batches
        return
    stream, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)

    def send(batch: _Gathered) -> tuple[_Gathered, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            images, labels, holes = (t if t is None else t.pin_memory().to(device, non_blocking=True) for t in batch)
            assert images is not None and labels is not None
            return (images, labels, holes), stream.record_event()

    def arrived(batch: _Gathered, there: torch.cuda.Event) -> _Gathered:
        current.wait_event(there)
        for tensor in batch:
            if tensor is not None:
                tensor.record_stream(current)  # its memory is not given away before `current` has read it
        return batch

    ahead: tuple[_Gathered, torch.cuda.Event] | None = None
    for batch in batches:
        ready, ahead = ahead, send(batch)
        if ready is not None:
            yield arrived(*ready)
    if ahead is not None:
        yield arrived(*ahead)


Item = tuple[np.ndarray, int]


def _stack(items: list[Item | ConsortError]) -> tuple[Tensor, Tensor] | ConsortError:
    """A batch, or the first error: raised in a loader's process it would arrive as a traceback in a message."""
    good = [item for item in items if not isinstance(item, ConsortError)]
    if len(good) < len(items):
        return next(item for item in items if isinstance(item, ConsortError))
    return torch.from_numpy(np.stack([image for image, _ in good])), torch.tensor([label for _, label in good])


def _loaded(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a loader; its processes' errors as this one's."""
    try:
        for batch in loader:
            if isinstance(batch, ConsortError):
                raise batch
            yield batch
    except (RuntimeError, OSError) as e:
        lost = ("killed by signal", "exited unexpectedly", "shared memory", "No space left", "Cannot allocate memory")
        if not any(sign in str(e) for sign in lost):
            raise
        raise InputError("a process that decodes images was lost, most often for want of memory or of shared memory "
                         "(/dev/shm). Give it more, or set loader_workers = 0 in [run].") from e


def _decoded(folder: ImageFolder, path: str, size: int | None) -> np.ndarray | ConsortError:
    try:
        return decode(folder.read(path), size)
    except ValueError as e:
        return unreadable(folder, path, str(e), "Repair it, or remove it and prepare the data again.")
    except ConsortError as e:
        return e


class _CroppedImages(Dataset):
    """Random resized crops (Szegedy et al. 2015) of streamed training images, each from the seed it is asked with."""

    def __init__(self, data: Prepared, size: int, smallest: float) -> None:
        self.folder, self.paths = ImageFolder(data.image_root), data.paths("train")
        self.labels, self.size, self.smallest = data.labels("train"), size, smallest

    def __getitem__(self, item: tuple[int, int]) -> Item | ConsortError:
        index, seed = item
        decoded = _decoded(self.folder, self.paths[index], None)
        if isinstance(decoded, ConsortError):
            return decoded
        image = Image.fromarray(decoded)
        box = self._box(image.width, image.height, np.random.default_rng(seed))
        cropped = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(cropped), int(self.labels[index])

    def _box(self, width: int, height: int, random: np.random.Generator) -> tuple[float, float, float, float]:
        """A box of `smallest`..1 of the area and an aspect of 3/4..4/3; the centre where ten draws do not fit."""
        for _ in range(10):
            area = width * height * random.uniform(self.smallest, 1.0)
            aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
            w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left, top = random.integers(0, width - w + 1), random.integers(0, height - h + 1)
                return left, top, left + w, top + h
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side


class _CentredImages(Dataset):
    """The central part of streamed images, for prediction."""

    def __init__(self, data: Prepared, split: str, size: int) -> None:
        self.folder, self.paths = ImageFolder(data.image_root), data.paths(split)
        self.labels, self.size = data.labels(split), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Item | ConsortError:
        image = _decoded(self.folder, self.paths[index], round(self.size / EVAL_CROP))
        if isinstance(image, ConsortError):
            return image
        start = (image.shape[0] - self.size) // 2
        return image[start:start + self.size, start:start + self.size], int(self.labels[index])
