"""A first study for a folder or zip of images: what to begin with, decided by looking at them, as text to edit."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from consort.data.builtin import BUILTIN
from consort.data.image_folder import ImageFolder
from consort.data.sample import Sample, look
from consort.data.selection import classes_of, known
from consort.data.size_rule import WITHOUT_GPU, chosen_side
from consort.errors import InputError
from consort.plurals import counted
from consort.store.files import as_text, expanded

UPDATES, UPDATES_ON_GPU = 1000, 3000
"""Steps of training to aim at; small sets of images are passed over more often for them."""
EPOCHS = (10, 200)
STEPS_PER_EPOCH = 50
BATCHES = (8, 16, 32, 64, 128)
RATE = 0.2
"""Peak learning rate for a batch of 128, as in the recipe "fast"; others in proportion (Goyal et al. 2017)."""
STREAMED = 224
SMALL_CPU = {"wrn-10-1": 4, "wrn-10-2": 2, "wrn-16-1": 4, "wrn-16-2": 2}
SMALL_GPU = {"wrn-16-1": 4, "wrn-16-2": 4, "wrn-16-4": 2, "wrn-28-4": 2}
LARGE = {"resnet18": 4, "resnet34": 2, "resnet50": 2}
"""Architecture -> seeds: about four of the first cost what one of a later one does."""


@dataclass(frozen=True)
class Seen:
    """What a folder or zip has."""

    root: Path
    train: Mapping[str, int]
    """Class -> images in train/."""
    num_val: int
    """Images of a validation set that comes with it."""
    num_test: int
    sample: Sample


@dataclass(frozen=True)
class Settings:
    """What a first study begins with."""

    side: int
    """Of what the networks see; the longer one where images keep a size that is not square."""
    image_size: int | None
    """None: images keep their one size, or are streamed."""
    streamed: bool
    val_images: int | None
    batch_size: int
    epochs: int
    learning_rate: float
    flip: bool
    architectures: Mapping[str, int]


def first_study(source: str, path: Path, gpu: bool) -> str:
    """The text of a study file at `path` for the images at `source`; InputError where they are no data for one."""
    if source in BUILTIN:
        raise InputError(f"--data is a folder or zip of images to look at; for {source} write a file without --data, "
                         "and edit its `source`.")
    seen = see(ImageFolder(expanded(source)))
    return text(seen, decide(seen, gpu), _source(source, path), gpu)


def see(folder: ImageFolder) -> Seen:
    """Look at a folder: its classes, and some of its images."""
    classes, train = classes_of(folder), folder.train()
    for split, entries in (("val", folder.val()), ("test", folder.test())):
        known(folder, split, entries, classes)
    sample = look(folder, [entry.path for entry in train])
    if not sample.sizes:
        raise InputError(f"{folder.root}: none of the images that were looked at can be read. `consort data import "
                         f"{folder.root}` says why.")
    return Seen(folder.root, Counter(entry.label for entry in train), len(folder.val()), len(folder.test()), sample)


def decide(seen: Seen, gpu: bool) -> Settings:
    """The settings; each rule is stated beside its value in the text, and in docs/data.md."""
    in_train = sum(seen.train.values())
    val_images = None if seen.num_val else max(1, in_train // 10, min(200, in_train // 5))
    num_train = in_train - (val_images or 0)
    most = STREAMED if gpu else WITHOUT_GPU
    streamed = gpu and seen.sample.shorter_side >= STREAMED
    keeps = len(set(seen.sample.sizes)) == 1 and min(seen.sample.sizes[0]) >= 8 and max(seen.sample.sizes[0]) <= most
    image_size = None if streamed or keeps else chosen_side(seen.sample, most)
    side = STREAMED if streamed else image_size or max(seen.sample.sizes[0])
    batch_size = min(num_train, max(b for b in BATCHES if b <= max(BATCHES[0], num_train // STEPS_PER_EPOCH)))
    epochs = math.ceil((UPDATES_ON_GPU if gpu else UPDATES) / (num_train // batch_size))
    return Settings(side, image_size, streamed, val_images, batch_size, min(max(epochs, EPOCHS[0]), EPOCHS[1]),
                    float(f"{RATE * batch_size / 128:.2g}"), flips(list(seen.train)),
                    LARGE if side > WITHOUT_GPU else SMALL_GPU if gpu else SMALL_CPU)


def flips(classes: Sequence[str]) -> bool:
    """Whether mirrored images are taken to be of the same class: not where classes are single characters, as of
    handwriting, or differ in left and right."""
    characters = all(len(name) == 1 for name in classes)
    sided = any(re.search(r"(?<![a-z])(left|right)(?![a-z])", name.lower()) for name in classes)
    return not characters and not sided


def text(seen: Seen, chosen: Settings, source: str, gpu: bool) -> str:
    """The study file."""
    folder = seen.root.resolve().name.lower().removesuffix(".zip")
    name = re.sub(r"[^a-z0-9]+", "-", folder)[:40].strip("-") or "my-study"
    fewest, most = min(seen.train.values()), max(seen.train.values())
    counts = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    updates = chosen.epochs * ((sum(seen.train.values()) - (chosen.val_images or 0)) // chosen.batch_size)
    lines = [
        "# Written by `consort init --data`, which looked at the images. `consort plan` checks it, `consort run` runs "
        "it.",
        f"# {counted(len(seen.train), 'class')} with {counts} image{'' if most == 1 else 's'} each in train/; "
        f"{counted(seen.num_test, 'image')} in test/.",
        f'name = "{name}"',
        'question = "Do several small networks beat one larger network of the same cost on my images?"',
        "", "[data]",
        f"source = {_quoted(source)}",
        *_size_lines(seen, chosen, gpu),
        _val_line(seen, chosen),
        _line("# skip_unreadable = true", "leave broken images out instead of stopping"),
        _line('# duplicates = "drop"', 'keep one of each image; "stop" refuses copies; by default they are told'),
        "", "[recipe]",
        _line('name = "fast"', "the rate rises and falls once; see docs/study.md for other recipes and keys"),
        _line(f"epochs = {chosen.epochs}", f"{updates:,} updates in all; more if the last ones still help"),
        _line(f"batch_size = {chosen.batch_size}", f"{BATCHES[0]} to {BATCHES[-1]}, for about {STEPS_PER_EPOCH} "
              "steps an epoch"),
        _line(f"learning_rate = {chosen.learning_rate}", f"{RATE} for a batch of 128, others in proportion"),
        _flip_line(chosen),
        _crop_line(chosen),
        "", _line("[architectures]", "name = number of seeds, each a member; `consort architectures` lists names"),
        *(f'"{network}" = {seeds}' for network, seeds in chosen.architectures.items()),
        "", "[evaluate]",
        _line("# mixed_members = 3", "mixed ensembles of up to so many members"),
        "", "[latency]", "# batch_size = 1", "# threads = 1",
        "", "[run]",
        _line("# workers = 2", "members trained side by side; by default one per core or GPU")]
    return "\n".join(lines) + "\n"


def _line(value: str, comment: str) -> str:
    return f"{value:<27} # {comment}"


def _size_lines(seen: Seen, chosen: Settings, gpu: bool) -> list[str]:
    sizes = sorted(seen.sample.sizes, key=min)
    (low_width, low_height), (high_width, high_height) = sizes[0], sizes[-1]
    looked = f"{low_width}x{low_height}" + ("" if sizes[0] == sizes[-1] else f" to {high_width}x{high_height}")
    found = (f"# {counted(len(sizes), 'image')} looked at: {looked} pixels, shorter side typically "
             f"{seen.sample.shorter_side}.")
    if chosen.streamed:
        return [found, f"# From {STREAMED} on they stay files, decoded while training at the size of each network.",
                _line("# image_size = 64", "make them small once instead: much less work")]
    if chosen.image_size is None:
        return [found, _line("# image_size = 32", "bring all to another size; they keep theirs")]
    cap = "" if gpu else f"; at most {WITHOUT_GPU} without a GPU, as twice the side is four times the work"
    return [found, _line(f"image_size = {chosen.image_size}", f"most need not be enlarged to it{cap}")]


def _val_line(seen: Seen, chosen: Settings) -> str:
    if chosen.val_images is None:
        return f"# Ensembles are chosen by the validation set that is there: {counted(seen.num_val, 'image')}."
    return _line(f"val_images = {chosen.val_images}",
                 "kept from train/ to choose ensembles by: a tenth, or up to a fifth to have 200")


def _flip_line(chosen: Settings) -> str:
    if chosen.flip:
        return _line("flip = true", "half of the images are mirrored; false for text, and where left and right matter")
    return _line("flip = false", "by their names the classes may differ when mirrored; true if they do not")


def _crop_line(chosen: Settings) -> str:
    if chosen.streamed:
        return _line("crop_scale = 0.25", "each time a random part, a quarter or more of the image, is seen")
    return _line(f"crop_padding = {max(1, chosen.side // 8)}", "images are moved by up to an eighth of their side")


def _source(source: str, path: Path) -> str:
    """As the study file names it: from the file's folder where it lies in that, so that both can move, else in full."""
    place, base = expanded(source).absolute(), path.parent.absolute()
    return as_text(place.relative_to(base).as_posix() if place.is_relative_to(base) else str(place))


def _quoted(value: str) -> str:
    """A TOML string; JSON's escapes are TOML's, but for DEL."""
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise InputError(f"the name of the folder {value!r} is not UTF-8, and a study file cannot name it: rename "
                         "it.") from e
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
