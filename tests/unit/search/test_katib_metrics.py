"""What a trial reports is what Katib's collector reads; and the reader of the tests is as strict as that is."""

import math
from dataclasses import replace

import pytest

from consort.kube.experiment import FURTHER_METRICS, OBJECTIVE
from consort.search.records import TrialRecord
from consort.search.trials import katib_line
from katib_metrics import collected

METRICS = (OBJECTIVE, *FURTHER_METRICS)
RECORD = TrialRecord(
    id="t-0123456789", kind="single", networks=("net-s-w8d1k3-w8d1k3-w8d1k3",), members=("m",), state="done",
    reason=None, accuracy=0.8133333333333334, member_accuracies=(0.81,), reward=1e-05, latency_ms=0.7,
    parallel_latency_ms=0.7, serial_latency_ms=0.7, network_latencies_ms={}, latency_spread_ms=None,
    latency_source="table", hardware_id="h",
    macs=12_345_678, largest_macs=12_345_678, params=4321, train_seconds=1.0, reused=0, versions={}, finished_at="")


def test_every_metric_of_the_experiment_arrives_and_reads_back_as_the_same_number():
    found = collected(katib_line(RECORD) + "\n", METRICS)
    assert found.keys() == set(METRICS)
    for name, ((moment, text),) in found.items():
        assert float(text) == getattr(RECORD, name) and math.isfinite(float(text))
        assert moment is not None and moment.tzinfo is not None


def test_of_a_trial_that_reports_twice_both_lines_are_read():
    twice = katib_line(RECORD) + "\n" + katib_line(replace(RECORD, reward=0.5)) + "\n"
    assert [text for _, text in collected(twice, METRICS)[OBJECTIVE]] == ["1e-05", "0.5"]


def test_numbers_are_dropped_and_without_the_objective_there_is_nothing():
    assert collected('{"reward": 0.5, "accuracy": "0.5"}\n', METRICS) == {}
    assert collected("", METRICS) == {}


@pytest.mark.parametrize("text", ["reward=0.5\n", '{"reward": "0.5"}\nbye\n', "[1]\n"])
def test_a_line_that_is_no_json_object_spoils_the_file(text):
    with pytest.raises((ValueError, TypeError)):
        collected(text, METRICS)
