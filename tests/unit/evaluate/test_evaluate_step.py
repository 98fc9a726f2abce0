"""The evaluate step on a folder store with a few members whose predictions are written by hand."""

import csv
import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

from consort.answer import stored
from consort.costs.records import QUANTILES
from consort.errors import IncompleteRun, InputError, IntegrityError, MissingKey
from consort.evaluate.rows import COLUMNS
from consort.evaluate.step import evaluate
from consort.store import Store, keys, open_store
from owl_members import CLASSES, LATENCIES, TEST, VAL, Small, latency, row_of, study, voting, write_data, write_member


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def small(store, tmp_path) -> Small:
    return Small(store, tmp_path / "cache")


def test_every_ensemble_has_a_row_per_method(small):
    rows = small.evaluate()["rows"]
    names = ["1 x wrn-10-1", "2 x wrn-10-1", "3 x wrn-10-1", "1 x wrn-10-2", "1 x wrn-10-1 + 1 x wrn-10-2"]
    assert [(row["combine"], row["ensemble"]) for row in rows] == [(m, name) for m in ("geometric", "arithmetic")
                                                                  for name in names]
    assert all(list(row) == list(COLUMNS) for row in rows)


def test_accuracies_are_the_hand_counted_ones(small):
    summary = small.evaluate()
    three = row_of(summary, "3 x wrn-10-1")
    assert (three["val_accuracy_mean"], three["accuracy_mean"], three["accuracy_sd"]) == (1.0, 0.5, None)
    two = row_of(summary, "2 x wrn-10-1")
    assert two["val_accuracy_mean"] == pytest.approx((0.75 + 0.5 + 0.75) / 3)
    assert (two["num_subsets"], two["subsets_sampled"]) == (3, False)
    one = row_of(summary, "1 x wrn-10-1")
    assert one["accuracy_mean"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert one["accuracy_sd"] == pytest.approx(math.sqrt(1 / 48))
    assert row_of(summary, "1 x wrn-10-2")["accuracy_mean"] == 0.25


def test_the_chosen_subset_is_best_on_validation_and_ties_go_to_the_lower_nll(small):
    row = row_of(small.evaluate(), "1 x wrn-10-1")
    assert row["chosen_members"] == small.ids[1]  # all three have 0.75; this one is the least sure of its mistake
    assert row["accuracy"] == 0.75
    assert row["nll"] == pytest.approx(math.log(1 + 2 * math.exp(-2)) + 2 / 4, rel=1e-5)
    assert row["nll_calibrated"] <= row["nll"]  # validation has the same share of mistakes at the same confidence
    confidence = 1 / (1 + 2 * math.exp(-2))
    assert row["ece"] == pytest.approx(abs(confidence - 0.75), rel=1e-5)
    assert row["ece_calibrated"] < row["ece"]  # four images do not move the temperature all the way
    assert (row["disagreement"], row["error_correlation"]) == (None, None)


def test_diversity_is_counted_over_the_pairs_of_the_chosen_subset(small):
    row = row_of(small.evaluate(), "3 x wrn-10-1")
    assert row["disagreement"] == pytest.approx((0.5 + 0.25 + 0.25) / 3)
    assert row["error_correlation"] == pytest.approx((-1 / 3 + 2 / math.sqrt(3)) / 3)
    assert row["oracle_accuracy"] == 1.0
    assert row["member_accuracy"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)


def test_costs_are_sums_and_parallel_latency_is_that_of_the_slowest(small):
    summary = small.evaluate(latencies={name: latency(name) for name in LATENCIES})
    row = row_of(summary, "1 x wrn-10-1 + 1 x wrn-10-2")
    assert (row["macs"], row["flops"], row["params"]) == (50_000_000, 100_000_000, 500_000)
    assert (row["latency_parallel_ms"], row["latency_serial_ms"]) == (5.0, 7.0)
    assert row["train_macs"] == 3000 * 50_000_000
    assert row["train_cpu_seconds"] == pytest.approx(8.0 + 7.0)  # mean over the seeds of wrn-10-1, plus wrn-10-2
    assert row_of(small.evaluate(), "3 x wrn-10-1")["latency_serial_ms"] is None


def test_parallel_latency_is_the_median_of_the_slowest_pass_not_the_slowest_median(small):
    """Of two passes that each take 1 to 3 ms the slower one takes 1 + 2 x 0.5^(1/2) ms in the median."""
    even = tuple(np.linspace(1, 3, QUANTILES + 1))
    spread = replace(latency("wrn-10-1"), median_ms=2.0, p10_ms=1.2, p90_ms=2.8, quantiles_ms=even)
    summary = small.evaluate(latencies={"wrn-10-1": spread})
    row = row_of(summary, "2 x wrn-10-1")
    assert (row["latency_parallel_ms"], row["latency_serial_ms"]) == (pytest.approx(1 + 2 * 0.5**0.5, abs=1e-3), 4.0)
    answered = stored.read(small.store, summary["study"], summary["run"])
    assert answered is not None
    three = next(one for one in answered[0].candidates if one.label == "3 x wrn-10-1")
    assert three.costs.parallel_ms == pytest.approx(1 + 2 * 0.5**(1 / 3), abs=1e-3)


def test_a_row_is_compared_with_the_best_single_that_costs_no_more(small):
    summary = small.evaluate(latencies={name: latency(name) for name in LATENCIES})
    three = row_of(summary, "3 x wrn-10-1")
    assert (three["versus_macs"], three["gain_macs"]) == ("1 x wrn-10-1", pytest.approx(0.5 - 2 / 3))
    assert three["gain_macs_low"] <= three["gain_macs"] <= three["gain_macs_high"]
    assert (three["versus_latency_parallel"], three["versus_latency_serial"]) == ("1 x wrn-10-1", "1 x wrn-10-1")
    one = row_of(summary, "1 x wrn-10-1")
    assert (one["versus_macs"], one["gain_macs"], one["gain_macs_low"]) == (None, None, None)


def test_a_dear_single_that_is_worse_flatters_nobody(small):
    """The dear single is worse on validation: whoever can afford it can afford the better one."""
    summary = small.evaluate()
    dear, both = row_of(summary, "1 x wrn-10-2"), row_of(summary, "1 x wrn-10-1 + 1 x wrn-10-2")
    for budget in ("macs", "train_macs"):
        assert (dear[f"versus_{budget}"], both[f"versus_{budget}"]) == ("1 x wrn-10-1", "1 x wrn-10-1")
    assert dear["gain_macs"] == pytest.approx(0.25 - 2 / 3)
    assert [dear[f"versus_{budget}"] for budget in ("latency_parallel", "latency_serial")] == [None, None]


def test_the_front_is_drawn_by_validation(small):
    summary = small.evaluate()
    on_front = {row["ensemble"] for row in summary["rows"] if row["pareto_macs"] and row["combine"] == "geometric"}
    assert on_front == {"1 x wrn-10-1", "3 x wrn-10-1"}
    assert not any(row["pareto_latency_parallel"] for row in summary["rows"])


def test_the_summary_has_the_answers_of_choices_json(small):
    summary, choices = small.evaluate(), small.choices()
    assert summary["answer"] == choices.headline.text == summary["answers"][0]["text"]
    assert summary["notes"] == list(choices.notes)
    for entry, choice in zip(summary["answers"], choices.choices, strict=True):
        one = choices.candidate(choice.candidate)
        assert (entry["ensemble"], entry["accuracy"], entry["budget"]) == (one.label, one.test.accuracy, choice.budget)
        assert entry["gain"] == (choice.gain and choice.gain.value)
        assert entry["resolved"] == (choice.gain is not None and choice.gain.resolved)
    assert summary["answers"][0]["budget_macs"] == 40_000_000
    assert summary["answers"][-1]["budget"] == {}


def test_fair_pairs_are_three_of_a_width_against_one_of_twice_the_width(small):
    pairs = small.evaluate()["fair_pairs"]
    assert [(p["ensemble"], p["versus"], p["combine"]) for p in pairs] == [
        ("3 x wrn-10-1", "1 x wrn-10-2", "geometric"), ("3 x wrn-10-1", "1 x wrn-10-2", "arithmetic")]
    assert (pairs[0]["macs"], pairs[0]["versus_macs"], pairs[0]["gain"]) == (30_000_000, 40_000_000, 0.25)


def test_reliability_diversity_and_members_describe_the_test_set(small):
    summary = small.evaluate()
    assert list(summary["reliability"]) == ["1 x wrn-10-1", "3 x wrn-10-1", "1 x wrn-10-2"]
    for diagram in summary["reliability"].values():
        assert [len(diagram[key]) for key in ("confidence", "accuracy", "count")] == [15, 15, 15]
        assert sum(diagram["count"]) == 4
    first = summary["diversity"][0]
    assert (first["a"], first["b"], first["same_architecture"]) == (small.ids[0], small.ids[1], True)
    assert (first["disagreement"], first["error_correlation"]) == (0.5, pytest.approx(-1 / 3))
    assert len(summary["diversity"]) == 6
    assert [(m["id"], m["val_accuracy"], m["test_accuracy"]) for m in summary["members"]] == [
        (small.ids[0], 0.75, 0.75), (small.ids[1], 0.75, 0.75), (small.ids[2], 0.75, 0.5), (small.ids[3], 0.5, 0.25)]


def random_logits(seed: int, labels: np.ndarray) -> np.ndarray:
    return 2 * (np.random.default_rng(seed).standard_normal((len(labels), 3)) + 0.7 * np.eye(3)[labels])


@pytest.mark.parametrize("seed", range(3))
def test_test_labels_change_no_selection(tmp_path, seed):
    """The same members under right and under shuffled test labels: what is selected stays, what is measured moves."""
    rng = np.random.default_rng(seed)
    val, test = rng.integers(3, size=60), rng.integers(3, size=60)
    summaries = []
    for name, labels in (("right", test), ("shuffled", rng.permutation(test))):
        store = open_store(str(tmp_path / name))
        data = write_data(store, tmp_path, val=val, test=labels)
        ids = [write_member(store, data, architecture, s, random_logits(10 * seed + s + 100 * len(architecture), val),
                            random_logits(10 * seed + s + 7, test))
               for architecture, number in (("wrn-10-1", 4), ("wrn-10-2", 2), ("wrn-16-16", 1)) for s in range(number)]
        many = study("combine = ['geometric', 'arithmetic']", '"wrn-10-1" = 4\n"wrn-10-2" = 2\n"wrn-16-16" = 1')
        summaries.append(evaluate(store, many, "r1", ids, data, {}, {name: latency(name) for name in LATENCIES}, {},
                                  tmp_path, {}))
    right, shuffled = summaries
    chosen = [c for c in COLUMNS if c.startswith(("pareto", "versus", "val_", "chosen", "temperature"))]
    assert len(chosen) == 12
    assert [[row[c] for c in chosen] for row in right["rows"]] == [[row[c] for c in chosen] for row in shuffled["rows"]]
    assert ([(a["budget"], a["ensemble"], a["versus"], a["why"]) for a in right["answers"]]
            == [(a["budget"], a["ensemble"], a["versus"], a["why"]) for a in shuffled["answers"]])
    assert all(a["accuracy_mean"] != b["accuracy_mean"] for a, b in zip(right["rows"], shuffled["rows"], strict=True))


def test_above_the_limit_a_fixed_sample_of_subsets_is_marked(small):
    summary = small.evaluate(study("max_subsets = 2"))
    row = row_of(summary, "2 x wrn-10-1")
    assert (row["num_subsets"], row["subsets_sampled"]) == (3, True)
    assert not row_of(summary, "3 x wrn-10-1")["subsets_sampled"]
    assert small.evaluate(study("max_subsets = 2"))["rows"] == summary["rows"]


def test_an_altered_logits_file_is_named(small):
    key = keys.member_file(small.ids[2], "logits-test.npy")
    content = bytearray(small.store.read(key))
    content[-1] ^= 1
    small.store.write(key, bytes(content))
    with pytest.raises(IntegrityError, match=f"{key} was altered"):
        small.evaluate()


@pytest.mark.parametrize("logits,rule", [(np.full((4, 3), np.nan), "finite logits, got 12"),
                                         (np.zeros((4, 2)), r"float32 logits \[4, 3\].*got float32 \[4, 2\]")])
def test_logits_that_cannot_be_right_are_refused(small, logits, rule):
    member = write_member(small.store, small.data, "wrn-10-2", 1, logits, np.zeros((4, 3)))
    with pytest.raises(IntegrityError, match=f"{keys.member_file(member, 'logits-val.npy')} must hold {rule}"):
        small.evaluate(ids=[*small.ids, member])


def test_missing_members_are_reported_and_the_others_evaluated(small):
    missing = {"wrn-10-2-s1-0123456789": "its loss became NaN at step 12"}
    summary = small.evaluate(missing=missing, context={"command": "consort run owls.toml"})
    assert summary["missing"] == missing
    assert summary["context"] == {"command": "consort run owls.toml"}
    assert len(summary["members"]) == 4


def test_no_member_at_all_is_an_incomplete_run_that_says_why(small):
    with pytest.raises(IncompleteRun, match=r"at least one finished member.*wrn-10-2-s1: its loss became NaN"):
        small.evaluate(ids=[], missing={"wrn-10-2-s1": "its loss became NaN"})


def test_an_unfinished_member_is_named(small):
    with pytest.raises(MissingKey, match=r"members/wrn-10-1-s9/member\.json"):
        small.evaluate(ids=[*small.ids, "wrn-10-1-s9"])


def test_members_of_other_data_are_refused(small):
    other = write_data(small.store, small.cache, val=TEST, test=VAL)
    member = write_member(small.store, other, "wrn-10-2", 1, np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(InputError, match=f"{member} was trained on {other.fingerprint}"):
        small.evaluate(ids=[*small.ids, member])


def test_training_cost_of_an_imported_member_is_unknown_not_nothing(small):
    member = write_member(small.store, small.data, "resnet", 0, voting(VAL, {0, 1, 2, 3}, 4),
                          voting(TEST, {0, 1, 2, 3}, 4), imported=True)
    summary = small.evaluate(ids=[*small.ids, member])
    row = row_of(summary, "1 x resnet")
    assert (row["train_macs"], row["train_cpu_seconds"], row["pareto_train_macs"]) == (None, None, False)
    assert row["versus_train_macs"] is None
    assert row["pareto_macs"]
    assert row_of(summary, "1 x wrn-10-1 + 1 x resnet")["train_macs"] is None
    assert row_of(summary, "3 x wrn-10-1")["versus_train_macs"] == "1 x wrn-10-1"
    assert summary["members"][-1]["imported"]


def test_files_hold_what_is_returned(small):
    summary = small.evaluate(latencies={"wrn-10-1": latency("wrn-10-1")})
    read = {name: small.store.read(keys.study_file("owls", "r1", name))
            for name in ("summary.json", "results.csv", "results.parquet")}
    assert json.loads(read["summary.json"]) == summary
    assert pyarrow.parquet.read_table(io.BytesIO(read["results.parquet"])).to_pylist() == summary["rows"]
    lines = list(csv.DictReader(io.StringIO(read["results.csv"].decode())))
    assert [line["ensemble"] for line in lines] == [row["ensemble"] for row in summary["rows"]]
    assert float(lines[0]["accuracy_mean"]) == summary["rows"][0]["accuracy_mean"]
    assert (lines[0]["versus_macs"], lines[0]["pareto_macs"]) == ("", "true")
    assert (summary["classes"], summary["test_images"], summary["val_images"]) == (CLASSES, 4, 4)
    assert (summary["question"], summary["combine"], summary["confidence"]) == ("one or three?", "geometric", 0.95)
    assert summary["latencies"][0]["median_ms"] == 2.0


def test_evaluating_needs_no_torch():
    code = "import sys, consort.evaluate; print(*{'torch', 'scipy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
