"""Which single networks are trained beside the winners of a search."""

from dataclasses import replace

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


def trial(networks: dict[str, float], latency_ms: float = 0.5, state: str = "done"):
    return replace(RECORD, networks=tuple(networks), member_accuracies=tuple(networks.values()), state=state,
                   network_latencies_ms=dict.fromkeys(networks, latency_ms))


def test_they_are_the_best_alone_of_every_kind_within_the_latency():
    search = parse_study(STUDY, "s").search
    assert search is not None
    trials = [trial({"a": 0.7}), trial({"b": 0.9, "c": 0.8}), trial({"b": 0.6}), trial({"slow": 0.99}, 1.5),
              trial({"failed": 0.99}, state="failed")]
    assert best_singles(search, trials) == ["c", "b"]  # b has 0.75 in the mean of its two trainings
    without = parse_study(STUDY.replace("singles = 2", "singles = 0"), "s").search
    assert without is not None and best_singles(without, trials) == []


def test_without_them_a_run_is_called_what_it_was_before_there_was_such_a_key():
    names = [run_name(parse_study(STUDY.replace("singles = 2", f"singles = {number}"), "s"), []) for number in (0, 2)]
    assert names[0] == "40b719cd8b" and names[1] != names[0]
