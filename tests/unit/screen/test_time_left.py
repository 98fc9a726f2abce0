"""The time left of a whole run, from the first line on, against runs whose end is known."""

import io

import pytest
from rich.console import Console

from consort.events import Done, Failed, MembersBegun, Progressed, Resumed, Started
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


def test_those_that_are_left_of_a_pack_are_not_taken_for_all_of_it() -> None:
    of = TimeLeft(dict.fromkeys(PACK, 1.0), [PACK])
    of.listen(progressed(PACK[0], 10, 90.0, 1000.0, side_by_side=8))
    for member in PACK[1:]:
        of.listen(Failed(member, "the loss became nan"))
    of.listen(progressed(PACK[0], 20, 20.0, 4000.0))
    assert (of.seconds, of.images_per_second) == (pytest.approx(20), 4000)


def test_members_that_were_interrupted_are_not_taken_to_begin_anew() -> None:
    """The first line of a pack that had a tenth left, of which one member is heard of."""
    of = TimeLeft(dict.fromkeys(PACK, 1.0), [PACK])
    for member in PACK:
        of.listen(Started(member))
        of.listen(Resumed(member, 90, 100))
    of.listen(progressed(PACK[0], 91, 9.0, 1000.0, side_by_side=8))
    assert of.seconds == pytest.approx(9, rel=0.1)


@pytest.mark.parametrize("resumed", [0, 40])
def test_what_comes_before_the_first_steps_comes_again_for_members_that_wait(resumed: int) -> None:
    """Two packs of eight that compile for 40 seconds each and train for 20; the first line after a second of steps."""
    packs = PACK, tuple(f"later-{seed}" for seed in range(8))
    now = [100.0]
    of = TimeLeft(dict.fromkeys(PACK + packs[1], 1.0), [PACK + packs[1]], lambda: now[0])
    for member in packs[0]:
        of.listen(Started(member))
        if resumed:
            of.listen(Resumed(member, resumed, 100))
    now[0] = 141.0
    for member in packs[0]:
        of.listen(progressed(member, resumed + 5, (95 - resumed) / 5, 1000.0, side_by_side=8))
    assert of.seconds == pytest.approx((95 - resumed) / 5 + 40 + 20)
    for member in packs[0]:
        of.listen(Done(member))
    for member in packs[1]:
        of.listen(Started(member))
    assert of.seconds == pytest.approx(40 + 20)
    now[0] = 171.0
    assert of.seconds == pytest.approx(10 + 20), "it has compiled for 30 seconds"
    now[0] = 191.0
    assert of.seconds == pytest.approx(20), "longer than the first"


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
