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
    head, first, *_ = (line for line in screen.getvalue().splitlines() if line.strip())
    ends = [head.index(title) + len(title) for title in ("difference, points", "these networks")]
    gain = found.headline.gain
    assert gain is not None
    assert first[:ends[0]].endswith(f" {100 * gain.value:+.2f}")
    assert first[ends[0]:ends[1]].strip() == f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
