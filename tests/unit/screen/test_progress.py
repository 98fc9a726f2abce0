"""Progress without a terminal: plain lines, not too many."""

import dataclasses
import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from consort.events import (
    Done,
    Failed,
    MembersBegun,
    MembersEnded,
    Progressed,
    Quiet,
    Resumed,
    Retried,
    Said,
    Started,
    Warned,
)
from consort.screen import members
from consort.screen.live import Screen
from consort.screen.members import Progress, progress_cells
from consort.screen.time_left import TimeLeft


def progress(member: str) -> Progressed:
    return Progressed(member, 1.25, 10, 50, 400, 1.23456, 4321.9, 75.2)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@contextmanager
def shown(out: io.StringIO, members: tuple[str, ...] = ("a", "b"), done: int = 0,
          terminal: bool = False) -> Iterator[Progress]:
    with Screen(Console(file=out, force_terminal=terminal, width=100, color_system=None)) as screen:
        screen.listen(MembersBegun(members, done))
        assert isinstance(screen.shown, Progress)
        yield screen.shown


def test_progress_is_a_plain_line(out):
    with shown(out) as p:
        p.listen(Started("a"))
        p.listen(progress("a"))
    assert out.getvalue() == "a  epoch 1.2 / 10  4,322 images/s  loss 1.235  1 min 15 s left\n"


def test_a_sentence_with_the_name_of_a_table_is_printed_as_it_is(out):
    with Screen(Console(file=out, width=100)) as screen:
        screen.listen(Said("set [run] workers", warns=True))
        screen.listen(Quiet("a pod [main]", 10.0))
    assert out.getvalue() == "set [run] workers\nno news for 10 s: a pod [main]\n"


def test_the_loss_of_a_member_that_diverges_has_four_digits(out):
    with shown(out) as p:
        p.listen(dataclasses.replace(progress("a"), loss=123456789012345.6))
    assert out.getvalue() == "a  epoch 1.2 / 10  4,322 images/s  loss 1.235e+14  1 min 15 s left\n"
    assert progress_cells(dataclasses.replace(progress("a"), loss=1234.5678))[2] == "1235"


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


def test_what_a_target_says_is_a_line_before_during_and_after_its_members(out):
    with Screen(Console(file=out, width=100, color_system=None)) as screen:
        screen.listen(Said("training 1 of 1 members"))
        screen.listen(MembersBegun(("a",), 0))
        screen.listen(Quiet("2 jobs without a pod", 65.0))
        screen.listen(Done("a"))
        screen.listen(MembersEnded())
        screen.listen(Done("a"))  # of whom nothing is shown any more
        screen.listen(Said("waiting: no room", warns=True))
    assert out.getvalue().splitlines() == [
        "training 1 of 1 members", "no news for 1 min 05 s: 2 jobs without a pod", "a  done (1 of 1)",
        "waiting: no room"]


def test_a_table_ends_with_the_screen_when_a_run_is_interrupted(out):
    screen = Screen(Console(file=out, force_terminal=True, width=100, color_system=None))
    with pytest.raises(KeyboardInterrupt), screen:
        screen.listen(MembersBegun(("a",), 0))
        raise KeyboardInterrupt
    assert screen.shown is None


def test_the_time_left_of_all_may_become_unknown_at_any_time(out, monkeypatch):
    seconds = iter([75.0])
    monkeypatch.setattr(TimeLeft, "seconds", property(lambda of: next(seconds, None)))
    with shown(out) as p:
        p.listen(progress("a"))
    assert "all members: 0 images/s, about 1 min 15 s left" in out.getvalue()


@pytest.mark.parametrize("text, said", [
    ("member a: the loss became nan", "the loss became nan"), ("member a was asked to stop", "was asked to stop"),
    ("member ab: is another", "member ab: is another"), ("its pod p ended", "its pod p ended")])
def test_a_line_that_begins_with_a_members_name_does_not_repeat_it(out, text, said):
    with shown(out) as p:
        for event, word in ((Failed, "failed"), (Retried, "retry"), (Warned, "warning")):
            p.listen(event("a", text))
            assert out.getvalue().splitlines()[-1] == f"a  {word}: {said}"
