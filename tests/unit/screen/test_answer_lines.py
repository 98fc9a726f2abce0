"""What a run ends with on the terminal."""

import io

from rich.console import Console

from budget_worlds import world
from consort.answer import stored
from consort.screen.answer import print_answer
from consort.store import open_store


def test_each_number_of_the_table_stands_under_its_name(tmp_path):
    found, seen = world(2)
    store = open_store(str(tmp_path))
    stored.write(store, found, seen)
    screen = io.StringIO()
    print_answer(Console(file=screen, width=140), {"study": "owls", "run": "r1"}, store)
    head, under, first, second, *_ = (line for line in screen.getvalue().splitlines() if line.strip())
    begins = head.index("difference, points")
    assert under[begins:].strip() == "[these networks]"
    gain, alternative = found.headline.gain, found.headline.alternative
    assert gain is not None and alternative is not None
    assert first[begins:].strip() == f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"
    assert second[begins:].strip() == f"against {found.candidate(alternative).label}"


def test_nothing_of_the_table_is_cut_on_a_narrow_terminal(tmp_path):
    found, seen = world(2)
    store = open_store(str(tmp_path))
    stored.write(store, found, seen)
    screen = io.StringIO()
    print_answer(Console(file=screen, width=80), {"study": "owls", "run": "r1"}, store)
    gain = found.headline.gain
    assert gain is not None and "…" not in screen.getvalue()
    assert f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]" in screen.getvalue()
