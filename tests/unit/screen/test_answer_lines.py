"""What a run ends with on the terminal."""

import io
from pathlib import Path

from rich.console import Console

from budget_worlds import world
from consort.answer import stored
from consort.answer.choices import Choices
from consort.screen.answer import print_answer
from consort.store import open_store


def printed(folder: Path, width: int) -> tuple[Choices, str]:
    found, seen = world(2)
    store, screen = open_store(str(folder)), io.StringIO()
    stored.write(store, found, seen)
    print_answer(Console(file=screen, width=width), {"study": "owls", "run": "r1"}, store)
    return found, screen.getvalue()


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


def test_nothing_of_the_table_is_cut_on_a_narrow_terminal(tmp_path):
    found, text = printed(tmp_path, 80)
    assert "…" not in text
    assert all(part in text for part in headline(found))
