"""Events as lines of a step: what one process writes, another reads, whatever their versions."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.errors import Busy, MemberFailed
from consort.events import (
    Measured,
    Predicted,
    Progressed,
    Resumed,
    Saved,
    StepEnded,
    Trained,
    TrialEnded,
    WaitsForLock,
    Warned,
    line,
    read_line,
)

TEXT = st.text(max_size=40)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 10**9)
EVENTS = st.one_of(
    st.builds(Warned, TEXT, TEXT, trial=TEXT), st.builds(WaitsForLock, TEXT, TEXT), st.builds(Saved, TEXT, COUNT),
    st.builds(Resumed, TEXT, COUNT, COUNT), st.builds(Trained, TEXT, st.none() | NUMBER, NUMBER),
    st.builds(Progressed, TEXT, NUMBER, COUNT, COUNT, COUNT, NUMBER, NUMBER, NUMBER, COUNT, COUNT, trial=TEXT),
    st.builds(Predicted, TEXT, TEXT, NUMBER), st.builds(Measured, TEXT, NUMBER),
    st.builds(TrialEnded, TEXT, TEXT, st.none() | NUMBER), st.builds(StepEnded, TEXT, TEXT, COUNT, TEXT))


@given(EVENTS)
def test_an_event_is_read_as_it_was_written(event):
    assert read_line(line(event)) == event
    assert "\n" not in line(event)


@given(st.text() | st.recursive(st.none() | st.booleans() | NUMBER | TEXT, lambda inner: st.lists(inner)
                                | st.dictionaries(TEXT, inner)).map(json.dumps))
def test_what_is_no_event_is_ordinary_text(text):
    assert read_line(text) is None


@pytest.mark.parametrize("text", ['{"event":"from a later version","x":1}', '{"event":"progress","member":"m"}',
                                  '{"event":["progress"]}', '{"event":"progress"', "{}"])
def test_an_unknown_or_incomplete_event_is_ordinary_text(text):
    assert read_line(text) is None


def test_keys_of_a_later_version_are_left_out():
    assert read_line('{"event":"warning","member":"m","text":"t","colour":"red"}') == Warned("m", "t")


def test_lines_are_as_other_tools_have_read_them():
    assert json.loads(line(Progressed("m", 1.5, 2, 3, 4, 0.5, 100.0, 1.0))) == {
        "event": "progress", "member": "m", "epoch": 1.5, "epochs": 2, "step": 3, "steps": 4, "loss": 0.5,
        "images_per_second": 100.0, "seconds_left": 1.0}
    assert json.loads(line(StepEnded("Busy", "t", 75))) == {
        "event": "error", "kind": "Busy", "text": "t", "exit_code": 75}
    assert json.loads(line(TrialEnded("t-1", "stopped"))) == {"event": "trial", "trial": "t-1", "state": "stopped"}


def test_a_step_ends_with_an_error_of_a_class():
    assert StepEnded("Busy", "t", 75).is_a(Busy) and not StepEnded("Busy", "t", 75).is_a(MemberFailed)


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError):
        line(Measured("wrn-10-1", math.nan))
