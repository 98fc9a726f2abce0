"""Candidates of a small real store, against what their named members give by themselves."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consort.answer import stored
from consort.answer.candidates import Members, Proposed, costs_of, unbeaten
from consort.answer.choices import Choices, OnValidation
from consort.answer.decision import decide
from consort.answer.evidence import Evidence
from consort.answer.metric import NAMES
from consort.costs.records import LatencyRecord
from consort.ensembles.bounds import wilson
from consort.ensembles.cascades import CONFIDENCES, Cascade, answer, asked
from consort.ensembles.composition import combine, log_softmax
from consort.ensembles.metrics import correct, nll
from consort.evaluate.step import evaluate
from consort.members.stored import read_record
from consort.store import Store, keys, open_store
from owl_members import latency, study, write_data, write_member

IMAGES = {"val": 300, "test": 400}
SEEDS = {"wrn-10-1": 3, "wrn-10-2": 2}


def noisy(rng: np.random.Generator, labels: np.ndarray, skill: float) -> np.ndarray:
    return 2 * (rng.standard_normal((len(labels), 3)) + skill * np.eye(3)[labels])


class Owls:
    """Members with independent mistakes, evaluated."""

    def __init__(self, folder: Path, metric: str = "accuracy") -> None:
        rng = np.random.default_rng(3)
        self.store: Store = open_store(str(folder / "store"))
        self.cache = folder / "cache"
        self.labels = {split: rng.integers(3, size=number) for split, number in IMAGES.items()}
        self.metric = metric
        self.data = write_data(self.store, self.cache, **self.labels)
        self.ids = [write_member(self.store, self.data, name, seed, *(
            noisy(rng, self.labels[split], 1.2 if name == "wrn-10-1" else 1.5) for split in ("val", "test")))
            for name, number in SEEDS.items() for seed in range(number)]
        self.study = study(f'[answer]\nmetric = "{metric}"', '"wrn-10-1" = 3\n"wrn-10-2" = 2')
        self.latencies: dict[str, LatencyRecord] = {name: latency(name) for name in SEEDS}

    def evaluate(self, run: str = "r1", more: Sequence[LatencyRecord] = ()) -> dict:
        return evaluate(self.store, self.study, run, self.ids, self.data, {}, self.latencies, {}, self.cache, {}, more)

    def read(self, run: str = "r1") -> tuple[Choices, Evidence]:
        known = stored.read(self.store, "owls", run)
        assert known is not None
        return known

    def log_probs(self, members: tuple[str, ...], split: str) -> np.ndarray:
        files = [self.store.read(keys.member_file(member, f"logits-{split}.npy")) for member in members]
        return np.array([log_softmax(np.load(io.BytesIO(data))) for data in files])


@pytest.fixture(scope="module", params=NAMES)
def owls(request, tmp_path_factory) -> Owls:
    made = Owls(tmp_path_factory.mktemp("owls"), request.param)
    made.evaluate()
    return made


def value(metric: str, log_probs: np.ndarray, labels: np.ndarray) -> float:
    """The metric as one defines it."""
    if metric == "nll":
        return nll(log_probs, labels)
    hit = correct(log_probs, labels)
    return float(hit.mean() if metric == "accuracy" else np.mean([hit[labels == one].mean() for one in range(3)]))


def better(metric: str, one: float, other: float) -> bool:
    return one < other if metric == "nll" else one > other


def test_every_number_of_a_candidate_is_that_of_its_named_members(owls):
    found, seen = owls.read()
    assert {one.kind for one in found.candidates} == {"single", "uniform", "mixed", "cascade"}
    for place, one in enumerate(found.candidates):
        for split, scores in (("val", seen.val[place]), ("test", seen.test[place])):
            log_probs, labels = owls.log_probs(one.members, split), owls.labels[split]
            if one.kind == "cascade":
                assert one.confidence is not None
                cascade = Cascade(tuple(range(len(one.members))), one.combine, one.confidence,
                                  tuple(np.inf if t is None else t for t in one.thresholds), one.temperatures)
                answered = answer(log_probs, cascade)
            else:
                answered = log_softmax(combine(log_probs, one.combine) / np.float32(one.temperatures[0]))
            of_split = one.val if split == "val" else one.test
            assert of_split.accuracy == correct(answered, labels).mean()
            assert of_split.value == pytest.approx(value(owls.metric, answered, labels), abs=1e-5)
            assert of_split.value == pytest.approx(abs(scores.mean(dtype=np.float64)))
            assert (scores.dtype == bool) == (owls.metric == "accuracy")
            assert of_split.nll == pytest.approx(nll(answered, labels), abs=1e-5)
            if one.kind == "cascade" and split == "val":
                macs = np.cumsum([{"wrn-10-1": 10e6, "wrn-10-2": 40e6}[name] for name in one.architectures])
                assert one.costs.macs == pytest.approx(macs[asked(log_probs, cascade) - 1].mean())
        assert one.test.low < one.test.accuracy < one.test.high
        assert one.test.value_low < one.test.value < one.test.value_high


def test_the_members_of_a_candidate_are_the_best_by_the_metric(owls):
    found, _ = owls.read()
    for one in found.candidates:
        if one.kind == "single":
            rivals = [member for member in owls.ids if member.startswith(f"{one.architectures[0]}-s")]
            values = {member: value(owls.metric, owls.log_probs((member,), "val")[0], owls.labels["val"])
                      for member in rivals}
            assert len(values) > 1
            assert not any(better(owls.metric, of_rival, values[one.members[0]]) for of_rival in values.values())


def test_the_choice_is_by_the_metric_and_the_summary_names_it(owls):
    found, _ = owls.read()
    assert found.metric == owls.metric == json.loads(owls.store.read(
        keys.study_file("owls", "r1", "summary.json")))["metric"]
    best = found.candidate(decide(*owls.read(), {}).best)
    assert not any(better(owls.metric, one.val.value, best.val.value) for one in found.candidates)
    words = {"accuracy": " has 7", "balanced_accuracy": " has balanced accuracy 7", "nll": " has NLL 0."}
    assert words[owls.metric] in found.headline.text
    assert found.majority.test_value == pytest.approx({
        "accuracy": np.mean(owls.labels["test"] == np.bincount(owls.labels["val"]).argmax()),
        "balanced_accuracy": 1 / 3, "nll": np.log(3)}[owls.metric], abs=0.01)


def test_every_single_is_a_candidate_and_nothing_else_that_another_beats(owls):
    found, _ = owls.read()
    assert [one.label for one in found.candidates if one.kind == "single"] == ["1 x wrn-10-1", "1 x wrn-10-2"]
    for one in found.candidates:
        for other in found.candidates:
            if one.kind != "single" and other is not one and len(other.members) <= len(one.members):
                costs = [(getattr(other.costs, name), getattr(one.costs, name)) for name in
                         ("macs", "macs_worst", "serial_ms", "serial_p99_ms", "parallel_ms", "params", "train_macs")]
                assert better(owls.metric, one.val.value, other.val.value) or any(a > b for a, b in costs) or (
                    other.val.value == one.val.value and all(a == b for a, b in costs))


def test_every_way_to_be_sure_is_told_once_and_how_many_share_a_promise(owls):
    sizes = {row["ensemble"]: row["num_members"] for row in owls.evaluate()["rows"]}
    found, _ = owls.read()
    assert found.confidences is not None and sizes[found.confidences.ensemble] > 2
    assert {one.name for one in found.confidences.each} == set(CONFIDENCES)
    assert found.promises_share == sum(size in (2, 3, 4) for size in sizes.values())


def test_costs_of_a_cascade_are_means_tails_and_worst_over_the_validation_images(owls):
    records = [record for member in owls.ids if (record := read_record(owls.store, member)) is not None]
    members = Members(records, owls.latencies, "geometric")
    some = np.array([1] * 98 + [2] * 2)
    cost = costs_of(members, (0, 3), some)
    assert (cost.macs, cost.macs_worst) == (pytest.approx(10e6 + 0.02 * 40e6), 50e6)
    assert (cost.serial_ms, cost.serial_p99_ms, cost.serial_worst_ms) == (pytest.approx(2.1), 7.0, 7.0)
    assert (cost.parallel_ms, cost.params, cost.bytes) == (pytest.approx(2.1), 500_000, None)
    together = costs_of(members, (0, 3), np.full(100, 2))
    assert (together.serial_ms, together.parallel_ms, together.train_macs) == (7.0, 5.0, 3000 * 50_000_000)
    unknown = costs_of(Members(records, {}, "geometric"), (0, 3), some)
    assert (unknown.serial_ms, unknown.serial_p99_ms, unknown.serial_worst_ms, unknown.parallel_ms) == (None,) * 4


def test_batches_and_members_at_the_same_time_are_told_of_candidates_and_choose_none(owls):
    in_batches = [replace(one, batch_size=64, median_ms=8 * one.median_ms) for one in owls.latencies.values()]
    at_once = replace(owls.latencies["wrn-10-1"], architecture="2 x wrn-10-1", together=["wrn-10-1"] * 2, median_ms=2.5)
    summary = owls.evaluate("r2", [*in_batches, at_once])
    assert [(one["batch_size"], one["together"]) for one in summary["more_latencies"]] == [
        (64, None), (64, None), (1, ["wrn-10-1", "wrn-10-1"])]
    found, _ = owls.read("r2")
    without = [replace(one, costs=replace(one.costs, batch_ms=None, batch_worst_ms=None, concurrent_ms=None))
               for one in found.candidates]
    assert without == list(owls.read()[0].candidates)
    for one in found.candidates:
        assert one.costs.batch_worst_ms == {"64": pytest.approx(one.costs.serial_worst_ms * 8 / 64)}
        cheaper = one.costs.batch_ms["64"] < one.costs.batch_worst_ms["64"]
        assert cheaper == (one.costs.macs < one.costs.macs_worst)
        assert (one.costs.concurrent_ms == 2.5) == (one.kind == "uniform" and one.label == "2 x wrn-10-1")


def proposed(accuracy: float, order: tuple[int, ...], macs: float, ms: float | None) -> Proposed:
    from hand_candidates import costs

    return Proposed("", "uniform", order, None, 1.0, costs(macs, ms=ms), OnValidation(accuracy, 0.5, accuracy),
                    np.array([True]))


def test_what_is_as_good_everywhere_and_better_somewhere_beats_and_equals_do_not():
    first = proposed(0.9, (0,), 10.0, 1.0)
    assert unbeaten([first, proposed(0.9, (1,), 10.0, 1.0)]) == [True, True]
    assert unbeaten([first, proposed(0.9, (0, 1), 10.0, 1.0)]) == [True, False]
    assert unbeaten([first, proposed(0.8, (0,), 10.0, None)]) == [True, False]
    assert unbeaten([proposed(0.9, (0,), 10.0, None), proposed(0.8, (0,), 10.0, 1.0)]) == [True, True]


@pytest.mark.parametrize("count,low,high", [(0, 0.0, 0.037), (100, 0.963, 1.0), (50, 0.404, 0.596)])
def test_the_interval_of_an_accuracy_is_wilsons(count, low, high):
    assert wilson(count / 100, 100, 0.95) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
