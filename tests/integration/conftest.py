"""Prepared digits and trained members, made once for all tests that only read them; a report in a real browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_members import BASE, DATA, LONG, World, train_quietly

from budget_worlds import Answered
from chromium import PROGRAM, Browser
from consort.answer.search import answer
from consort.data.prepare import prepare
from consort.members.spec import MemberSpec
from consort.report.page import page_html
from consort.report.search_page import search_html
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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not PROGRAM.exists():
        reason = f"no {PROGRAM}: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path):
    """Open a summary's page; afterwards nothing may have gone wrong in it."""
    browser.events.clear()
    browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
    file = tmp_path / "report.html"
    url = file.as_uri()

    def open_(summary: dict, width: int = 1280, answered: Answered | None = None, **media: str) -> Browser:
        html = search_html(summary, answer(summary), b"") if "arms" in summary else page_html(summary, b"", answered)
        file.write_text(html, encoding="utf-8")
        browser.open(url, width, **media)
        return browser

    yield open_
    assert browser.evaluate("1 + 1") == 2
    wrong = [event for event in browser.events
             if event[0] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")]
    assert wrong == []
    requests = [event["request"]["url"] for method, event in browser.events if method == "Network.requestWillBeSent"]
    assert url in requests  # the listener works
    assert [request for request in requests if request != url and not request.startswith("data:")] == []
