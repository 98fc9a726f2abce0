"""The choices of a run, also of one that was evaluated before there were any."""

import dataclasses

from consort.answer import stored
from consort.answer.choices import Choices
from consort.answer.evidence import Evidence
from consort.costs.records import LatencyRecord
from consort.errors import MissingKey
from consort.evaluate.step import evaluate
from consort.run.run import Run


def choices(run: Run) -> tuple[Choices, Evidence]:
    """Those of the store; where there are none, from the logits of the members that its summary names, with the
    latencies and the facts that it has. Nothing is trained, predicted or measured.

    Raises MissingKey where the run was never evaluated.
    """
    known = stored.read(run.store, run.study.name, run.plan.run)
    if known is not None:
        return known
    if not run.has("summary.json"):
        raise MissingKey(f"{run.ref} has not been evaluated: {run.store.uri} has no {run.key('summary.json')}. Do it "
                         f"first, by `consort run` or, where its members are done, by `consort evaluate {run.ref}`.")
    summary = run.summary()
    latencies = {values["architecture"]: _latency(values) for values in summary["latencies"]}
    evaluate(run.store, run.study, run.plan.run, [member["id"] for member in summary["members"]], run.plan.data,
             run.plan.also, latencies, summary["missing"], run.cache, summary["context"],
             [_latency(values) for values in summary.get("more_latencies", [])])
    again = stored.read(run.store, run.study.name, run.plan.run)
    assert again is not None
    return again


def _latency(values: dict) -> LatencyRecord:
    known = {field.name for field in dataclasses.fields(LatencyRecord)}
    return LatencyRecord(**{name: value for name, value in values.items() if name in known})
