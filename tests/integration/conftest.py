"""Prepared digits and trained members, made once for all tests that only read them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_members import BASE, DATA, LONG, World, train_quietly

from consort.data.prepare import prepare
from consort.members.spec import MemberSpec
from consort.store.folder import FolderStore


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As `consort train` has it: then what is trained in this process equals what a step's process trains."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of this process and of every process that a test starts; no store or training is inherited."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["CONSORT_CACHE"] = str(folder)
    for name in ("CONSORT_STORE", "WORLD_SIZE", "RANK", "LOCAL_RANK", "OMP_NUM_THREADS", "FORCE_COLOR"):
        os.environ.pop(name, None)
    return folder


@pytest.fixture(scope="session")
def prepared_store(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A store that holds prepared digits and nothing else; copied, never written to."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(FolderStore(folder), DATA, Path(), cache)
    return folder


@pytest.fixture(scope="session")
def new_world(tmp_path_factory: pytest.TempPathFactory, prepared_store: Path, cache: Path) -> Callable[..., World]:
    """Make a store of one's own: with prepared digits, or as a copy of another world."""
    def make(like: World | None = None) -> World:
        folder = tmp_path_factory.mktemp("world") / "store"
        shutil.copytree(like.store.root if like else prepared_store, folder)
        return World.open(folder, cache)

    return make


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    return new_world()


@pytest.fixture(scope="session")
def trained(new_world: Callable[..., World]) -> tuple[World, MemberSpec]:
    """A member that was trained without an interruption."""
    world = new_world()
    spec = world.spec(BASE)
    train_quietly(world, spec)
    return world, spec


@pytest.fixture(scope="session")
def trained_long(new_world: Callable[..., World]) -> tuple[World, MemberSpec]:
    """The same, long enough that a process can be interrupted in the middle."""
    world = new_world()
    spec = world.spec(LONG)
    train_quietly(world, spec)
    return world, spec
