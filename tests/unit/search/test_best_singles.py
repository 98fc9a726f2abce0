"""Which single networks are trained beside the winners of a search."""

from dataclasses import replace

import pytest
from test_katib_metrics import RECORD

from consort.run.plan import run_name
from consort.search.winners import best_singles
from consort.study.file import parse_study

STUDY = """
name = "s"
data = { source = "digits" }
[search]
objective = { target_latency_ms = 1.0 }
space = { block = ["wide"], width = [4, 8], depth = [1] }
final = { seeds = 2, singles = 2 }
"""


def trial(networks: dict[str, float], latency_ms: float = 0.5, state: str = "done", seed: int = 0):
    return replace(RECORD, networks=tuple(networks), members=tuple(f"{name}-s{seed}" for name in networks),
                   member_accuracies=tuple(networks.values()), state=state,
                   network_latencies_ms=dict.fromkeys(networks, latency_ms))


def test_they_are_the_best_alone_of_every_kind_within_the_latency():
    search = parse_study(STUDY, "s").search
    assert search is not None
    trials = [trial({"a": 0.7}), trial({"b": 0.9, "c": 0.8}), trial({"b": 0.9, "a": 0.7}), trial({"b": 0.6}, seed=500),
              trial({"slow": 0.99}, 1.5), trial({"failed": 0.99}, state="failed")]
    assert best_singles(search, trials) == ["c", "b"]  # b has 0.75 in the mean of its two trainings
    without = parse_study(STUDY.replace("singles = 2", "singles = 0"), "s").search
    assert without is not None and best_singles(without, trials) == []
    unsaid = parse_study(STUDY.replace(", singles = 2", ""), "s").search
    assert unsaid is not None and best_singles(unsaid, trials) == ["c", "b"]


@pytest.mark.parametrize(("final", "same"), [
    ("", True), (", singles = 0", True), (", singles = 2", False), (", retrain = 0", True), (", retrain = 3", True)])
def test_a_run_is_called_what_it_was_before_there_were_such_keys(final: str, same: bool):
    name = run_name(parse_study(STUDY.replace(", singles = 2", final), "s"), [])
    assert (name == "40b719cd8b") == same
