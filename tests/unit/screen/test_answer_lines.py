"""What a run ends with on the terminal."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from budget_worlds import world
from consort.answer import stored
from consort.answer.choices import Choices
from consort.answer.evidence import Evidence
from consort.answer.metric import NAMES, signed
from consort.screen.answer import print_answer
from consort.store import Store, open_store


def printed(folder: Path, width: int) -> tuple[Choices, str]:
    found, seen = world(2)
    return found, shown(open_store(str(folder)), found, seen, width)


def shown(store: Store, found: Choices, seen: Evidence, width: int) -> str:
    screen = io.StringIO()
    stored.write(store, found, seen)
    print_answer(Console(file=screen, width=width), {"study": "owls", "run": "r1"}, store)
    return screen.getvalue()


def headline(found: Choices) -> tuple[str, str]:
    """The difference with its interval, and what it is against."""
    gain, alternative = found.headline.gain, found.headline.alternative
    assert gain is not None and alternative is not None
    return (f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]",
            f"against {found.candidate(alternative).label}")


def test_each_number_of_the_table_stands_under_its_name(tmp_path):
    found, text = printed(tmp_path, 140)
    head, under, first, second, *_ = (line for line in text.splitlines() if line.strip())
    begins = head.index("difference, points")
    assert under[begins:].strip() == "[these networks]"
    assert (first[begins:].strip(), second[begins:].strip()) == headline(found)


@pytest.mark.parametrize("metric", NAMES)
def test_nothing_of_the_table_is_cut_on_a_narrow_terminal(tmp_path, metric):
    """However long the names of what is held against each other."""
    found, seen = world(2, metric=metric)
    named = tuple(dataclasses.replace(one, label=f"cascade of {'2 x wrn-16-10 + ' * 3}1 x wrn-16-10-b")
                  for one in found.candidates)
    store = open_store(str(tmp_path))
    for candidates in (found.candidates, named):
        text = shown(store, dataclasses.replace(found, candidates=candidates), seen, 80)
        table = text[:text.index("Within ")]
        assert "…" not in table and max(map(len, table.splitlines())) <= 80
        gains = [choice.gain for choice in found.choices if choice.gain is not None]
        assert gains and all(f"{signed(metric, gain.value)} [{signed(metric, gain.low)}, {signed(metric, gain.high)}]"
                             in table for gain in gains)
        assert table.count("wrn-16-10-b") == (len(found.choices) + len(gains) if candidates is named else 0)
