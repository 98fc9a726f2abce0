"""What is said while a cluster says nothing. The test is the clock."""

import threading
import time

import pytest

from consort.cluster import silence
from consort.cluster.silence import Silence
from consort.events import Done, Event, Quiet, Started
from fake_cluster import FakeCluster


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def quiet(told: list[Event]) -> Silence:
    return Silence(FakeCluster(), told.append, lambda: "3 jobs without a pod")  # type: ignore[arg-type]


def times(told: list[Event]) -> list[float]:
    return [round(event.seconds) for event in told if isinstance(event, Quiet)]


def test_silence_is_told_after_five_seconds_and_whenever_it_has_doubled(quiet: Silence, told: list[Event]) -> None:
    start = time.monotonic()
    quiet._heard = start
    for second in range(100):
        quiet.look(start + second)
    assert times(told) == [5, 10, 20, 40, 80]
    assert told[0] == Quiet("3 jobs without a pod", 5.0)


def test_news_ends_silence_and_the_creation_of_a_job_is_none(quiet: Silence, told: list[Event]) -> None:
    start = quiet._heard = time.monotonic()
    quiet.look(start + 50)
    quiet.listen(Started("a"))
    quiet.look(start + 60)
    assert times(told) == [50], "told again when it has lasted 80 s"
    quiet.listen(Done("a"))
    quiet.look(quiet._heard + 4)
    quiet.look(quiet._heard + 6)
    assert times(told) == [50, 6]
    assert told[1:3] == [Started("a"), Done("a")], "what is heard is passed on"


def test_a_server_that_is_away_is_named(quiet: Silence, told: list[Event]) -> None:
    quiet.api.trouble = "Connection refused"  # type: ignore[misc]
    quiet.look(quiet._heard + 7)
    assert isinstance(told[0], Quiet) and "does not answer (Connection refused)" in told[0].what


def test_it_is_told_while_a_request_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(silence, "FIRST_SECONDS", 0.02)
    heard = threading.Event()
    with Silence(FakeCluster(), lambda event: heard.set(), lambda: "an answer"):  # type: ignore[arg-type]
        assert heard.wait(20)
