"""Bundles of small networks that are exported once, and what tests of graphs and of programs share."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import exported_members
from exported_members import ExportedMembers
from unsure_networks import log_probs_of, unsure_networks


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    return unsure_networks()


@pytest.fixture(scope="module")
def log_probs(networks) -> np.ndarray:
    return log_probs_of(networks)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> ExportedMembers:
    return exported_members.digits(tmp_path_factory.mktemp("store"), ["wrn-10-1", "wrn-10-1", "wrn-10-2"])


@pytest.fixture(scope="session")
def bundle(world, tmp_path_factory) -> Path:
    """A cascade."""
    return world.export(world.cascade([0, 2]), tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture
def own_bundle(bundle, tmp_path) -> Path:
    """A copy to change."""
    target = tmp_path / "own"
    for path in bundle.rglob("*"):
        if path.is_file():
            (target / path.relative_to(bundle)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(bundle)).write_bytes(path.read_bytes())
    return target


@pytest.fixture(scope="session")
def torch_bundle(world, tmp_path_factory) -> Path:
    return world.export(world.cascade([0, 2]), tmp_path_factory.mktemp("torch") / "bundle", format="torch")
