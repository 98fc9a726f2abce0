"""The evaluate step: from stored logits to the result tables and the summary. No torch.

Reads members/<id>/{member.json, logits-*.npy} and the labels of prepared data; writes results.parquet, results.csv,
choices.json with its evidence, and summary.json below studies/<name>/<run>/.
"""

import csv
import dataclasses
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consort.answer.batched import Beside
from consort.answer.candidates import Ensemble, Members, Proposals, measure_candidates, propose
from consort.answer.confidences import measure as measure_confidences
from consort.costs.records import LatencyRecord
from consort.data.findings import shortened
from consort.data.prepared import Prepared
from consort.ensembles.composition import combine, tempered
from consort.ensembles.image_scores import image_scores
from consort.ensembles.intervals import Seeds, member_shares, pooled_seed_variance
from consort.ensembles.metrics import (
    accuracy,
    bootstrap_means,
    correct,
    disagreement,
    error_correlation,
    fit_temperature,
    reliability,
)
from consort.errors import IncompleteRun, InputError, MissingKey
from consort.evaluate.comparisons import Comparable, Trainings, fair_pairs, fill_in
from consort.evaluate.conclusion import answer_columns, conclude
from consort.evaluate.rows import COLUMNS, Candidates, Row, Selected, candidates, measure, select, selection_columns
from consort.members.logits import log_probabilities
from consort.members.records import MemberRecord
from consort.members.stored import read_record
from consort.store import Store, keys
from consort.study.file import Study

if TYPE_CHECKING:
    from consort.members.history import Epoch

DIVERSITY_PAIRS = 300
"""Pairs of members that the diversity plot shows; a fixed random sample above that."""


def evaluate(store: Store, study: Study, run: str, member_ids: Sequence[str], data: Prepared,
             also: Mapping[str, Prepared], latencies: Mapping[str, LatencyRecord], missing: Mapping[str, str],
             cache: Path, context: dict, more_latencies: Sequence[LatencyRecord] = ()) -> dict:
    """Evaluate every ensemble of these finished members, write the tables and summary.json, return the summary.

    also: name -> further test sets (their split "test"). latencies: architecture -> its record, where measured;
    more_latencies: at other batch sizes, and of members at the same time. missing: planned member -> why it is not
    there; it is reported. context: goes into the summary as it is. What is selected (subsets, temperatures, partners,
    Pareto fronts) is selected on validation.

    Raises IncompleteRun where there is no member, MissingKey where logits or a record are not in the store, and
    IntegrityError naming a file that is not what its sha256 or its shape should be.
    """
    records = [_record(store, member_id, data) for member_id in member_ids]
    if not records:
        raise IncompleteRun("an evaluation needs at least one finished member, and there is none"
                            + "".join(f"; {member_id}: {why}" for member_id, why in missing.items()) + ".")
    ensembles = candidates(_by_architecture(study, records), study.evaluate.mixed_members, study.evaluate.max_subsets)
    beside = Beside.of([*latencies.values()], more_latencies)
    val = _select(store, study, data, records, ensembles, latencies, beside, cache)
    rows: list[Row] = []
    about_test: dict = {}
    for name, test_set in {"test": data, **also}.items():
        labels = _test_labels(name, test_set, data)
        log_probs = log_probabilities(store, records, data, "test", None if name == "test" else test_set, cache)
        trainings = _trainings(name, ensembles, val, log_probs, labels)
        found = _compare(name, study, ensembles, val, log_probs, labels, trainings)
        rows += [row for method in found for row in found[method].rows]
        if name == "test":
            about_test = _conclude(store, study, run, data, val, found, log_probs, labels, trainings)
        del log_probs
    summary = {
        "study": study.name, "run": run, "question": study.question, "combine": study.evaluate.combine[0],
        "confidence": study.evaluate.confidence, **about_test, "rows": rows,
        "latencies": [dataclasses.asdict(latency) for latency in latencies.values()],
        "more_latencies": [dataclasses.asdict(latency) for latency in more_latencies], "missing": dict(missing),
        "context": context, "test_images": len(data.labels("test")), "val_images": len(data.labels("val")),
        "classes": list(data.classes),
    }
    _write(store, study, run, summary)
    return summary


def _write(store: Store, study: Study, run: str, summary: dict) -> None:
    rows = summary["rows"]
    for name, content in (("results.parquet", results_parquet(rows)), ("results.csv", results_csv(rows)),
                          ("summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())):
        store.write(keys.study_file(study.name, run, name), content)


@dataclass(frozen=True)
class _Selection:
    """What validation says of the members and their ensembles, and what it selects."""

    members: Members
    selected: dict[str, list[Selected]]
    """Way of combining -> what it selects of every ensemble."""
    rows: dict[str, list[Row]]
    """Way of combining -> what is known of every ensemble's row."""
    proposals: Proposals
    right: np.ndarray
    """bool [members, images]"""
    scores: np.ndarray
    """The same by the metric of the answer, [members, images]."""
    temperatures: list[float]
    """Of every member, where the metric is one of calibrated predictions; else 1."""
    accuracies: list[float]
    """Of every member."""


def _select(store: Store, study: Study, data: Prepared, records: Sequence[MemberRecord], ensembles: Candidates,
            latencies: Mapping[str, LatencyRecord], beside: Beside, cache: Path) -> _Selection:
    labels, first, metric = data.labels("val"), study.evaluate.combine[0], study.answer.metric
    log_probs = log_probabilities(store, records, data, "val", None, cache)
    macs = [record.macs for record in records]
    selected: dict[str, list[Selected]] = {
        method: select(log_probs, labels, ensembles, macs, method, metric) for method in study.evaluate.combine}
    rows = {method: selection_columns(ensembles, choices, method, records, latencies)
            for method, choices in selected.items()}
    members = Members(records, latencies, first, metric, beside)
    chosen = [Ensemble(composition, choice.subset, choice.temperature)
              for composition, choice in zip(ensembles.compositions, selected[first], strict=True)]
    proposals = propose(members, chosen, log_probs, labels, study.answer.cascade_loss)
    right = np.array([correct(member, labels) for member in log_probs])
    temperatures = [fit_temperature(member, labels) if metric == "nll" else 1.0 for member in log_probs]
    return _Selection(members, selected, rows, proposals, right,
                      _scores(metric, log_probs, labels, right, temperatures), temperatures,
                      [accuracy(member, labels) for member in log_probs])


def _trainings(test_set: str, ensembles: Candidates, val: _Selection, log_probs: np.ndarray,
               labels: np.ndarray) -> Trainings:
    """What the members' predictions on a test set say of training them again."""
    records = val.members.records
    shares = np.array([member_shares(subsets, len(records)) for subsets in ensembles.subsets])
    right = np.array([correct(member, labels) for member in log_probs])
    # Validation images are like those of the study's own test set, and may not be like those of others.
    seen = np.concatenate([val.right, right], axis=1) if test_set == "test" else right
    return Trainings(shares, [record.architecture for record in records], _seeds(seen, records))


def _seeds(scores: np.ndarray, records: Sequence[MemberRecord]) -> Seeds | None:
    return pooled_seed_variance(scores, [record.architecture for record in records],
                                {record.architecture for record in records if record.imported})


def _scores(metric: str, log_probs: np.ndarray, labels: np.ndarray, right: np.ndarray,
            temperatures: Sequence[float]) -> np.ndarray:
    """Of every member by the metric [members, images]."""
    return np.array([image_scores(metric, tempered(member, temperature), labels, of_member) for member, temperature,
                     of_member in zip(log_probs, temperatures, right, strict=True)])


def _conclude(store: Store, study: Study, run: str, data: Prepared, val: _Selection, found: Mapping[str, Comparable],
              log_probs: np.ndarray, labels: np.ndarray, trainings: Trainings) -> dict:
    """Decide and write what to deploy; what the summary says of the study's test images."""
    records = val.members.records
    compared = val.proposals.confidences
    right = np.array([correct(member, labels) for member in log_probs])
    scores = _scores(val.members.metric, log_probs, labels, right, val.temperatures)
    seeds = _seeds(np.concatenate([val.scores, scores], axis=1), records)
    answered = conclude(store, study, run, data, records, seeds, val.proposals, measure_candidates(
        val.members, val.proposals.candidates, log_probs, labels, study.evaluate.confidence),
        None if compared is None else measure_confidences(compared, log_probs, labels))
    return {
        **answer_columns(answered),
        "fair_pairs": [pair for method in study.evaluate.combine for pair in fair_pairs(found[method], trainings)],
        "reliability": _reliability(found[study.evaluate.combine[0]], records, log_probs, labels),
        "diversity": _diversity(records, log_probs, labels),
        "members": _members(store, records, val.accuracies, [accuracy(member, labels) for member in log_probs]),
    }


def _record(store: Store, member_id: str, data: Prepared) -> MemberRecord:
    record = read_record(store, member_id)
    if record is None:
        raise MissingKey(f"{keys.member_record(member_id)} is not in the store {store.uri}: the member is not "
                         "finished. Train it (`consort run` or `consort train`), then evaluate.")
    if record.data != data.fingerprint:
        raise InputError(f"members of one evaluation share their data: {member_id} was trained on {record.data}, the "
                         f"study's data is {data.fingerprint}. Plan the study again.")
    return record


def _by_architecture(study: Study, records: Sequence[MemberRecord]) -> dict[str, list[int]]:
    """Architecture -> numbers of its members, in the order of the study file."""
    present = dict.fromkeys(record.architecture for record in records)
    order = [a for a in study.architectures if a in present] + [a for a in present if a not in study.architectures]
    return {a: [number for number, record in enumerate(records) if record.architecture == a] for a in order}


def _test_labels(name: str, test_set: Prepared, data: Prepared) -> np.ndarray:
    if list(test_set.classes) != list(data.classes):
        raise InputError(f"the further test set '{name}' must be prepared with the classes of the study's data "
                         f"({shortened(data.classes)}), got {shortened(test_set.classes)}. Plan the study again.")
    return test_set.labels("test")


def _compare(test_set: str, study: Study, ensembles: Candidates, val: _Selection, log_probs: np.ndarray,
             labels: np.ndarray, trainings: Trainings) -> dict[str, Comparable]:
    """Complete rows of one test set, per method. All share the bootstrap's resamples of the images."""
    macs = [record.macs for record in val.members.records]
    measured = {method: measure(log_probs, labels, ensembles, choices, macs, method)
                for method, choices in val.selected.items()}
    # An image counts with the share of a row's subsets that are right about it: means over subsets come first.
    right = np.concatenate([[one.shares for one in of_method] for of_method in measured.values()])
    num_subsets = [len(subsets) for subsets in ensembles.subsets] * len(measured)
    resampled = bootstrap_means(right, study.evaluate.bootstrap) / num_subsets
    found = {}
    for (method, of_method), columns in zip(measured.items(), np.split(resampled, len(measured), axis=1), strict=True):
        rows: list[Row] = [{**dict.fromkeys(COLUMNS), "test_set": test_set, **row, **one.columns}
                           for row, one in zip(val.rows[method], of_method, strict=True)]
        found[method] = Comparable(rows, columns, study.evaluate.confidence, len(labels))
        fill_in(found[method], trainings)
    return found


def _reliability(found: Comparable, records: Sequence[MemberRecord], log_probs: np.ndarray,
                 labels: np.ndarray) -> dict[str, dict]:
    """Of each architecture, the single that validation chose and the largest uniform ensemble; a bin without images
    has null means."""
    numbers = {record.id: number for number, record in enumerate(records)}
    diagrams = {}
    for architecture in dict.fromkeys(record.architecture for record in records):
        largest = sum(record.architecture == architecture for record in records)
        for row in found.rows:
            if row["ensemble"] in (f"1 x {architecture}", f"{largest} x {architecture}"):
                subset = [numbers[member_id] for member_id in row["chosen_members"].split("+")]
                bins = reliability(combine(log_probs[subset], row["combine"]), labels)
                diagrams[row["ensemble"]] = {"confidence": _or_none(bins.confidence),
                                             "accuracy": _or_none(bins.accuracy), "count": bins.count.tolist()}
    return diagrams


def _diversity(records: Sequence[MemberRecord], log_probs: np.ndarray, labels: np.ndarray) -> list[dict]:
    pairs = list(combinations(range(len(records)), 2))
    if len(pairs) > DIVERSITY_PAIRS:
        pairs = sorted(random.Random(0).sample(pairs, DIVERSITY_PAIRS))
    apart = disagreement(log_probs.argmax(axis=2))
    together = error_correlation(~np.array([correct(member, labels) for member in log_probs]))
    return [{"a": records[i].id, "b": records[j].id,
             "same_architecture": records[i].architecture == records[j].architecture,
             "disagreement": float(apart[i, j]), "error_correlation": _or_none(together[i, j:j + 1])[0]}
            for i, j in pairs]


def _members(store: Store, records: Sequence[MemberRecord], val: Sequence[float], test: Sequence[float]) -> list[dict]:
    from consort.members.history import read_history  # imports pyarrow

    columns = ("id", "architecture", "seed", "macs", "params", "train_seconds", "train_cpu_seconds", "train_images",
               "precision", "attempts", "imported")
    return [{**{column: getattr(record, column) for column in columns}, "val_accuracy": on_val,
             "test_accuracy": on_test,
             "history": [_epoch(epoch) for epoch in read_history(store, record) if np.isfinite(epoch.loss)]}
            for record, on_val, on_test in zip(records, val, test, strict=True)]


def _epoch(epoch: "Epoch") -> dict:
    return {"epoch": epoch.epoch, "loss": float(f"{epoch.loss:.6g}"), "val_accuracy": epoch.val_accuracy}


def _or_none(values: np.ndarray) -> list[float | None]:
    """JSON has no nan."""
    return [None if np.isnan(value) else float(value) for value in values]


def results_csv(rows: Sequence[Row]) -> bytes:
    """The rows as CSV; null is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: str(value).lower() if isinstance(value, bool) else value for column, value in row.items()}
                     for row in rows)
    return text.getvalue().encode()


def results_parquet(rows: Sequence[Row]) -> bytes:
    """The rows as Parquet, with the types of COLUMNS also where a column is all null."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(column, types[kind]) for column, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
    return buffer.getvalue()
