"""Networks of the timm package, as `timm:<name>`, where timm is installed."""

import math
from types import ModuleType
from typing import Any

from torch import nn

from consort.data.preprocessing import Preprocessing
from consort.errors import InputError, unknown_name

PREFIX = "timm:"


def names() -> list[str]:
    return []


def all_names() -> list[str]:
    """Every network of timm; InputError where it is not installed."""
    return [PREFIX + name for name in _timm().list_models()]


def answers_to(name: str) -> bool:
    return name.startswith(PREFIX)


def check(name: str) -> None:
    """Raises InputError for a name with a tag of weights, such as timm:resnet18.a1_in1k: nothing would load them."""
    bare, _, tag = name.removeprefix(PREFIX).partition(".")
    if tag:
        raise InputError(f"{name} names weights ({tag}), and networks are trained here from new ones: the name of the "
                         f"network is {PREFIX}{bare}. To import those weights, save them as a file: "
                         f'"{PREFIX}{bare}" = {{ weights = "{bare}.safetensors", transforms = "{tag}" }}.')


def published(name: str) -> tuple[int, int]:
    timm = _timm()
    config = timm.get_pretrained_cfg(_known(timm, name))
    return (config.input_size[-1], config.num_classes) if config else (224, 1000)


def build(name: str, classes: int) -> nn.Module:
    timm = _timm()
    return timm.create_model(_known(timm, name), pretrained=False, num_classes=classes)


def preprocessing(name: str, tag: str | None) -> Preprocessing:
    """What the weights of a tag want their images to be, by timm's data configuration; without a tag, timm's default's.

    Raises InputError for a tag that timm does not know, and where it publishes no weights.
    """
    timm = _timm()
    bare = _known(timm, name).split(".")[0]
    tags = [found.split(".", 1)[1] for found in timm.list_pretrained(f"{bare}.*")]
    if tag is not None and tag not in tags:
        raise unknown_name(f"weights of timm:{bare}", tag, tags)
    config = timm.get_pretrained_cfg(f"{bare}.{tag}" if tag else bare)
    if not tags or config is None:
        raise InputError(f'timm publishes no weights of {bare}, so it says nothing of their images. Set transforms = '
                         '"data" beside weights: images are then prepared as for training here.')
    return _described(timm.data.resolve_data_config({}, pretrained_cfg=config.to_dict()),
                      f"timm {bare}.{tag or config.tag}".rstrip("."))


_FITS = {"squash": "exact", "border": "inside"}


def _described(config: dict[str, Any], source: str) -> Preprocessing:
    """What timm's create_transform makes of a data configuration, for evaluation."""
    crop = tuple(config["input_size"][-2:])
    height, width = (math.floor(side / config["crop_pct"]) for side in crop)
    fit = _FITS.get(config["crop_mode"], "shorter" if height == width else "cover")
    fill = tuple(round(255 * value) for value in config["mean"]) if fit == "inside" else (0, 0, 0)
    return Preprocessing((height, width), crop, fit, config["interpolation"], tuple(config["mean"]),
                         tuple(config["std"]), fill, source)


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as e:
        raise InputError("timm:<name> needs the timm package: pip install 'consort[timm]'.") from e
    return timm


def _known(timm: ModuleType, name: str) -> str:
    bare = name.removeprefix(PREFIX)
    if not timm.is_model(bare):
        raise unknown_name("timm model", bare, timm.list_models())
    return bare
