"""The time left of a whole run, from the first line on, against runs whose end is known."""

import io

import pytest
from rich.console import Console

from consort.events import Done, Failed, MembersBegun, Progressed, Resumed
from consort.screen.live import Screen
from consort.screen.time_left import TimeLeft

PACK = tuple(f"small-{seed}" for seed in range(8))


def progressed(member: str, step: int, seconds_left: float, images_per_second: float, side_by_side: int = 1,
               steps: int = 100) -> Progressed:
    return Progressed(member, step / 10, 10, step, steps, 1.0, images_per_second, seconds_left,
                      side_by_side=side_by_side)


def test_one_place_takes_its_members_one_after_another() -> None:
    of = TimeLeft({"a": 1.0, "b": 4.0}, [["a", "b"]])
    assert of.seconds is None
    of.listen(progressed("a", 50, 5.0, 300.0))
    assert (of.seconds, of.images_per_second) == (pytest.approx(5 + 40), 300)
    of.listen(Done("a"))
    assert of.seconds == pytest.approx(40)
    of.listen(progressed("b", 25, 24.0, 90.0))  # faster than thought
    assert (of.seconds, of.images_per_second) == (pytest.approx(24), 90)
    of.listen(Done("b"))
    assert (of.seconds, of.images_per_second) == (0, 0)


def test_the_slowest_place_counts_and_one_that_is_silent_is_as_fast_as_the_others() -> None:
    of = TimeLeft({"a": 2.0, "b": 2.0, "c": 2.0}, [["a"], ["b", "c"]])
    of.listen(progressed("a", 50, 10.0, 100.0))
    assert of.seconds == pytest.approx(40)
    of.listen(progressed("b", 50, 5.0, 200.0))
    assert (of.seconds, of.images_per_second) == (pytest.approx(15), 300)
    of.listen(Failed("c", "the loss became nan"))
    assert of.seconds == pytest.approx(10)


def test_the_first_member_of_a_pack_that_is_heard_of_speaks_for_all() -> None:
    of = TimeLeft({**dict.fromkeys(PACK, 1.0), "large": 4.0}, [[*PACK, "large"]])
    of.listen(progressed(PACK[0], 10, 90.0, 1000.0, side_by_side=8))
    # Eight that end in 90 s; what the other seven have left is not told yet.
    assert of.seconds == pytest.approx(7 * 100 / 8 + 90 / 8 + 4 * 100 / 8)
    for member in PACK[1:]:
        of.listen(progressed(member, 10, 90.0, 1000.0, side_by_side=8))
    assert (of.seconds, of.images_per_second) == (pytest.approx(90 + 50), 8000)


def test_what_is_nearly_done_says_nothing_of_the_rate() -> None:
    of = TimeLeft({"a": 1.0, "b": 1.0}, [["a", "b"]])
    of.listen(progressed("a", 50, 5.0, 100.0))
    of.listen(progressed("a", 99, 0.0, 100.0))
    of.listen(progressed("a", 100, 0.0, 100.0))
    assert of.seconds == pytest.approx(10)


def test_a_run_says_what_all_its_members_take() -> None:
    out = io.StringIO()
    with Screen(Console(file=out, width=100)) as screen:
        screen.listen(MembersBegun(("a", "b"), 0, {"a": 1.0, "b": 4.0}, (("a", "b"),)))
        screen.listen(Resumed("a", 10, 100))
        screen.listen(progressed("a", 50, 5.0, 300.0))
        screen.listen(progressed("a", 60, 4.0, 300.0))
    assert out.getvalue().splitlines()[1:] == [
        "a  epoch 5.0 / 10  300 images/s  loss 1.000  5 s left", "all members: 300 images/s, about 45 s left"]


def test_one_member_by_itself_is_not_told_twice_and_a_terminal_has_it_below() -> None:
    out = io.StringIO()
    with Screen(Console(file=out, width=100)) as screen:
        screen.listen(MembersBegun(("a",), 3, {"a": 1.0}, (("a",),)))
        screen.listen(progressed("a", 50, 5.0, 300.0))
    assert "all members" not in out.getvalue()
    with Screen(Console(file=out, force_terminal=True, width=100, color_system=None)) as screen:
        screen.listen(MembersBegun(PACK, 0, dict.fromkeys(PACK, 1.0), (PACK,)))
        for member in PACK:
            screen.listen(progressed(member, 50, 5.0, 300.0, side_by_side=8))
    assert "0 of 8 members done, 0 waiting; 2,400 images/s, about 5 s left" in out.getvalue()
