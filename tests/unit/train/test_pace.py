"""Steps per second, by a clock that the test sets."""

import time

import pytest

from consort.train.pace import Pace


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time; its last entry is now."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[-1])
    return now


def test_the_rate_leaves_out_what_came_before_the_first_losses(clock: list[float]) -> None:
    pace = Pace(0.0, 0.0, step=0)
    told = []
    for after, step in ((30.0, 4), (30.5, 9), (31.0, 14), (31.5, 19), (32.0, 24)):
        clock.append(100.0 + after)
        told.append(pace.to_tell(step, last=False))
    assert told == [None, None, 10.0, None, 10.0]


def test_the_last_step_is_told_whenever_it_comes(clock: list[float]) -> None:
    pace = Pace(0.0, 0.0, step=6)
    clock.append(102.0)
    assert pace.to_tell(10, last=True) == 2.0
    pace = Pace(0.0, 0.0, step=0)
    clock.append(103.0)
    assert pace.to_tell(1, last=False) is None
    clock.append(103.5)
    assert pace.to_tell(3, last=True) == 4.0


def test_seconds_go_on_from_the_attempts_before(clock: list[float]) -> None:
    pace = Pace(7.0, 5.0, step=0)
    clock.append(102.5)
    assert pace.spent(side_by_side=1)[0] == 9.5


def test_the_rate_is_that_of_the_last_seconds(clock: list[float]) -> None:
    """Members that leave a pack make the others faster."""
    pace, step, told = Pace(0.0, 0.0, step=0), 0, []
    for second in range(80):
        clock.append(101.0 + second)
        step += 10 if second < 40 else 30
        told.append(pace.to_tell(step, last=False))
    assert set(told[1:40]) == {10.0} and told[45] < 20.0
    assert set(told[61:]) == {30.0}


def test_a_pack_that_becomes_smaller_begins_anew(clock: list[float]) -> None:
    """Those that left are predicted and written, and the rest, which is faster now, is captured: eight seconds."""
    pace = Pace(0.0, 0.0, step=0)
    pace.begin_anew(0)
    told = []
    for now, step in ((101.0, 4), (102.0, 14), (103.0, 24)):
        clock.append(now)
        told.append(pace.to_tell(step, last=False))
    clock.append(111.0)
    pace.begin_anew(24)
    for now, step in ((112.0, 64), (113.0, 104)):
        clock.append(now)
        told.append(pace.to_tell(step, last=False))
    assert told == [None, 10.0, 10.0, 40.0, 40.0]


def test_the_speed_of_a_short_training_is_without_its_capture(clock: list[float]) -> None:
    pace = Pace(0.0, 0.0, step=0)
    clock.append(130.0)
    pace.begin_anew(0)
    clock.append(131.0)
    assert pace.to_tell(4, last=True) == 4.0
