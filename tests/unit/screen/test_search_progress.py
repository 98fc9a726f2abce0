"""A search without a terminal: which member of a trial trains, and what happens to trials."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from consort.events import Elsewhere, Progressed, Retried, Started
from consort.screen.live import Screen
from consort.search.arms import Arm
from consort.search.told import SearchBegun
from consort.study.search import Search


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@contextmanager
def shown(out: io.StringIO, terminal: bool = False) -> Iterator[Screen]:
    search = Search.model_validate({"trials": 5, "objective": {"target_latency_ms": 1.0, "source": "measured"},
                                    "space": {"block": ["wide"], "width": [4], "depth": [1]}})
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with Screen(console) as screen:
        screen.listen(SearchBegun([Arm("joint", "random", False)], search, {}))
        yield screen


def progress(number: int) -> Progressed:
    return Progressed("wrn-10-1-s0-0123456789", 1.25, 10, 50, 400, 1.23456, 4321.9, 75.2, number, 3, trial="t-1")


def test_progress_names_the_trial_and_which_of_its_members_trains(out):
    with shown(out) as search:
        search.listen(Started("t-1"))
        search.listen(progress(2))
        search.listen(Retried("t-1", "its process was killed"))
    lines = out.getvalue().splitlines()
    assert lines[1] == "t-1  member 2 of 3  epoch 1.2 / 10  4,322 images/s  loss 1.235"
    assert lines[2] == "t-1  retry: its process was killed"


def test_a_terminal_shows_it_in_the_table(out):
    with shown(out, terminal=True) as search:
        search.listen(progress(3))
        search.listen(Elsewhere("t-2"))
    assert "3 of 3" in out.getvalue() and "waits for a member that another trial trains" in out.getvalue()
