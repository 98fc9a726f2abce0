"""Networks of the timm package, as `timm:<name>`, where timm is installed."""

from types import ModuleType

from torch import nn

from consort.errors import InputError, unknown_name

PREFIX = "timm:"


def names() -> list[str]:
    return []


def all_names() -> list[str]:
    """Every network of timm; InputError where it is not installed."""
    return [PREFIX + name for name in _timm().list_models()]


def answers_to(name: str) -> bool:
    return name.startswith(PREFIX)


def published(name: str) -> tuple[int, int]:
    timm = _timm()
    config = timm.get_pretrained_cfg(_known(timm, name))
    return (config.input_size[-1], config.num_classes) if config else (224, 1000)


def build(name: str, classes: int) -> nn.Module:
    timm = _timm()
    return timm.create_model(_known(timm, name), pretrained=False, num_classes=classes)


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
