"""Progress without a terminal: plain lines, not too many."""

import io

import pytest
from rich.console import Console

from consort.events import Done, Failed, Progressed, Resumed, Retried, Started, Warned
from consort.screen import members
from consort.screen.members import Progress, duration


def progress(member: str) -> Progressed:
    return Progressed(member, 1.25, 10, 50, 400, 1.23456, 4321.9, 75.2)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def shown(out: io.StringIO, members: tuple[str, ...] = ("a", "b"), done: int = 0, terminal: bool = False) -> Progress:
    return Progress(Console(file=out, force_terminal=terminal, width=100, color_system=None), members, done)


def test_progress_is_a_plain_line(out):
    with shown(out) as p:
        p.listen(Started("a"))
        p.listen(progress("a"))
    assert out.getvalue() == "a  epoch 1.2 / 10  4,322 images/s  loss 1.235  1 min 15 s left\n"


def test_a_member_speaks_only_now_and_then(out, monkeypatch):
    with shown(out) as p:
        for _ in range(3):
            p.listen(progress("a"))
        p.listen(progress("b"))
        assert [line[0] for line in out.getvalue().splitlines()] == ["a", "b"]
        monkeypatch.setattr(members, "PLAIN_SECONDS", 0.0)
        p.listen(progress("a"))
    assert [line[0] for line in out.getvalue().splitlines()] == ["a", "b", "a"]


def test_what_happens_to_members_is_told_and_counted(out):
    with shown(out, done=3) as p:
        p.listen(Resumed("a", 20, 400))
        p.listen(Warned("a", "a checkpoint is damaged"))
        p.listen(Done("a"))
        p.listen(Retried("b", "killed by signal 9, in 2 s"))
        p.listen(Failed("b", "the loss became nan"))
        assert p.finished == 4
    assert out.getvalue().splitlines() == [
        "a  resumed at step 20 of 400", "a  warning: a checkpoint is damaged", "a  done (4 of 5)",
        "b  retry: killed by signal 9, in 2 s", "b  failed: the loss became nan"]


def test_text_in_brackets_and_long_lines_stay_whole(out):
    text = "[red]/data/[1]/x.png " + "word " * 40
    with shown(out) as p:
        p.listen(Failed("a", text))
    assert out.getvalue() == f"a  failed: {text}\n"


def test_a_terminal_gets_a_table(out):
    with shown(out, terminal=True) as p:
        p.listen(progress("a"))
        p.listen(Started("b"))
    assert "1.2 / 10" in out.getvalue()
    assert "starting" in out.getvalue()
    assert "0 of 2 members done, 0 waiting" in out.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0 s"), (42.4, "42 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3599.4, "59 min 59 s"),
    (3599.6, "1 h 00 min"), (7800, "2 h 10 min"), (100 * 3600, "100 h 00 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text
