"""Counts of networks that this machine remembers: counting one takes seconds, and each plan asks again.

No torch where the count is known.
"""

import contextlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from consort.costs.conditions import Size, size_text
from consort.documents import canonical_json, sha256
from consort.store.files import write_whole

PACKAGES = ("consort", "torch", "torchvision", "timm")
"""Whose versions a count depends on."""


class Counted(NamedTuple):
    macs: int
    """Of one forward pass of one image."""
    params: int


def counted(name: str, size: Size, classes: int, cache: Path) -> Counted:
    """What `costs.macs.count` gives, from the cache or counted and kept there.

    Raises InputError where the network cannot take such an image.
    """
    asked = [name, size_text(size), classes, [_version(package) for package in PACKAGES]]
    file = cache / "counts" / f"{sha256(canonical_json(asked).encode())[:16]}.json"
    try:
        values = json.loads(file.read_bytes())
        return Counted(int(values["macs"]), int(values["params"]))
    except (OSError, ValueError, KeyError, TypeError):  # not counted yet, or a damaged note
        pass
    from consort.costs.macs import count  # torch takes seconds to import

    cost = count(name, size, classes)
    with contextlib.suppress(OSError):  # without a home, or with one that is read-only, it is counted again each time
        write_whole(file, canonical_json({"asked": asked, "macs": cost.macs, "params": cost.params}).encode())
    return Counted(cost.macs, cost.params)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
