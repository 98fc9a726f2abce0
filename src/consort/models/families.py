"""Networks by name: `wrn-<depth>-<width>`, `net-<stages>`, torchvision's, and `timm:<name>`.

A family is a module with `answers_to(name)`, `names()`, `published(name)` and `build(name, classes)`; to add one, write
the module and add it to FAMILIES.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from types import ModuleType

from torch import nn

from consort.errors import unknown_name

FAMILIES = ("wide_resnet", "staged", "timm_models", "torchvision_models")
"""Asked in this order and imported when asked: torchvision alone takes seconds."""


@dataclass(frozen=True)
class Published:
    """The input side in pixels and the number of classes that a network was published with."""

    input_size: int
    classes: int


def published(name: str) -> Published:
    """What the network was published with. Raises InputError for an unknown name, listing near ones."""
    return Published(*_family(name).published(name))


def build(name: str, classes: int) -> nn.Module:
    """The untrained network: float [N, 3, H, W] -> logits [N, classes]. Initialised from torch's global generator."""
    return _family(name).build(name, classes)


def check_name(name: str) -> None:
    """Raises InputError for a name that no family answers to, or that asks for more than a network."""
    family = _family(name)
    if hasattr(family, "check"):
        family.check(name)


def listed(pattern: str) -> list[str]:
    """Names that contain the text, or match it where it has a `*`, `?` or `[`; timm's only where it begins with
    `timm:`, for there are over a thousand."""
    wanted = pattern if set("*?[") & set(pattern) else f"*{pattern}*"
    timm = pattern.startswith("timm:")
    families = [import_module("consort.models.timm_models")] if timm else list(_families())
    return [name for family in families for name in (family.all_names() if timm else family.names())
            if fnmatch(name, wanted)]


def _families() -> Iterator[ModuleType]:
    for module in FAMILIES:
        yield import_module(f"consort.models.{module}")


def _family(name: str) -> ModuleType:
    for family in _families():
        if family.answers_to(name):
            return family
    known = [n for family in _families() for n in family.names()]
    raise unknown_name("architecture", name, known, "Also wrn-<depth>-<width> with depth = 6n+4, "
                       "net-<stages> (docs/search.md), and timm:<name>.")
