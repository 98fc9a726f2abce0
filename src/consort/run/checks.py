"""What cannot work is said when a study is planned, not after hours: images, batches, weights, disk.

Networks are built and counted at the data's size where torch is installed; where it is not, the rest is checked.
"""

import importlib.util
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from consort import members
from consort.answer.amounts import format_bytes
from consort.costs.conditions import Size
from consort.costs.counted import Counted, counted
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet
from consort.space import networks
from consort.store import Store

LOGITS_BYTES = 4
WEIGHT_BYTES = 4
AMPLE_BYTES = 2**30
"""More than any member takes whose network is not counted for this."""


def check_members(store: Store, specs: Sequence[MemberSpec], weights: Mapping[str, str], data: Prepared,
                  cache: Path) -> None:
    """Raises InputError that names every network that cannot become a member of this data, and why.

    specs: all planned members, of which those that are there, or failed before, are left alone. weights: member ->
    what it is imported from.
    """
    present = members.files(store, [spec.id for spec in specs])
    todo = [spec for spec in specs if not present[spec.id] & {"member.json", "failed.json"}]
    one_each = {(spec.architecture, spec.recipe): spec for spec in todo}.values()
    wrong = [text for spec in one_each for text in _wrong(spec, weights.get(spec.id), data, cache)]
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))
    _check_disk(store, todo, data, cache)


def _wrong(spec: MemberSpec, source: str | None, data: Prepared, cache: Path) -> Iterator[str]:
    """Everything that keeps this network from being trained, or imported, and then predicting."""
    if source is None:
        yield from _wrong_batches(spec, data)
    fits_all = wide_resnet(spec.architecture) is not None or networks.is_name(spec.architecture)
    if not importlib.util.find_spec("torch") or (fits_all and source is None and spec.recipe.batch_size > 1):
        return
    from consort.models.input_size import network_input

    size = network_input(spec, data)
    try:
        counted(spec.architecture, size, len(data.classes), cache)
        if source is not None and source.endswith(".safetensors"):
            from consort.train.imported_weights import check_file

            check_file(spec.architecture, source, len(data.classes))
    except InputError as e:
        yield f"{e}{_remedy(data) if 'cannot take' in str(e) else ''}"
        return
    if source is None and spec.recipe.batch_size == 1:
        yield from _wrong_alone(spec, size, len(data.classes))


def _remedy(data: Prepared) -> str:
    if data.manifest.layout == "files":
        return " Set [recipe] input_size, for all or for this architecture, or take another network."
    return (" Set [data] image_size, if the source is a folder or zip, or take a network for images of this size, such "
            "as wrn-16-1.")


def _wrong_batches(spec: MemberSpec, data: Prepared) -> Iterator[str]:
    recipe, images = spec.recipe, data.counts["train"]
    if recipe.batch_size > images:
        yield (f"{spec.architecture}: batch_size must not exceed the number of training images, got "
               f"{recipe.batch_size} and {images}. Set [recipe] batch_size.")
    size = data.manifest.image_size
    if size is not None and recipe.crop_padding >= min(size):
        yield (f"{spec.architecture}: crop_padding must be less than the side of the images, which it reflects, got "
               f"{recipe.crop_padding} and {size[0]}x{size[1]} pixels. Set [recipe] crop_padding.")


def _wrong_alone(spec: MemberSpec, size: Size, classes: int) -> Iterator[str]:
    """Batches of one image: batch normalisation has nothing to average where a map is one pixel."""
    import torch

    from consort.costs.macs import build_without_weights

    network = build_without_weights(spec.architecture, classes).train()
    try:
        network(torch.empty(1, 3, *size, device="meta"))
    except ValueError as e:
        yield (f"{spec.architecture} cannot be trained with one image per batch on images of {size[0]}x{size[1]} "
               f"pixels: {str(e).splitlines()[0]}. Set [recipe] batch_size to 2 or more.")


def disk_bytes(spec: MemberSpec, params: int, data: Prepared) -> int:
    """What a member takes in the store: weights, and logits of validation and test."""
    images = data.counts["val"] + data.counts["test"]
    return WEIGHT_BYTES * params + LOGITS_BYTES * images * len(data.classes)


def count_of(spec: MemberSpec, data: Prepared, cache: Path) -> Counted | None:
    """MACs and parameters at the data's size; None where torch is not installed."""
    if not importlib.util.find_spec("torch"):
        return None
    from consort.models.input_size import network_input

    return counted(spec.architecture, network_input(spec, data), len(data.classes), cache)


def _check_disk(store: Store, todo: Sequence[MemberSpec], data: Prepared, cache: Path) -> None:
    """Raises InputError where what the members will take does not fit beside what is there; for stores in a folder.

    Networks are counted, which takes torch seconds to begin, where one is of a family that may be large or the room is
    scarce; else the logits alone are.
    """
    if "://" in store.uri or not todo:
        return
    free = shutil.disk_usage(store.uri).free
    needed = sum(disk_bytes(spec, 0, data) for spec in todo)
    scarce = free < needed + len(todo) * AMPLE_BYTES
    if needed <= free and (scarce or any(wide_resnet(s.architecture) is None and not networks.is_name(s.architecture)
                                         for s in todo)):
        params = {spec.architecture: found.params if (found := count_of(spec, data, cache)) else 0 for spec in todo}
        needed = sum(disk_bytes(spec, params[spec.architecture], data) for spec in todo)
    if needed > free:
        raise InputError(f"the store {store.uri} has {format_bytes(free)} free, and the members to come "
                         f"({len(todo):,}) take {format_bytes(needed)}. Free some room, or name another store with "
                         "--store.")
