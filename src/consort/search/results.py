"""search.json: what a search found, for its report. No torch here."""

import dataclasses
import json
from collections.abc import Sequence

from consort.costs.conditions import size_text
from consort.errors import MissingKey
from consort.run.run import Run
from consort.search.arms import Arm
from consort.search.latencies import hardware_of, known_table, network_size
from consort.search.records import TrialRecord
from consort.search.trials import DONE, read, search_of
from consort.store import Store


def write_results(run: Run, arms: Sequence[Arm], final: dict | None) -> dict:
    """Write study.toml and search.json, and return the latter.

    final: what the winners' study showed, or None before it.
    """
    plan, search = run.plan, search_of(run.plan)
    table = known_table(run) if search.objective.source == "table" else None
    passes = 3 * search.trial_recipe(plan.study.recipe).epochs * plan.data.counts["train"]
    results = {
        "study": plan.study.name, "run": plan.run, "question": plan.study.question,
        "objective": search.objective.model_dump(mode="json"), "members": search.members,
        "hardware_id": hardware_of(plan.study), "input": size_text(network_size(plan)),
        "val_images": len(plan.data.labels("val")), "confidence": plan.study.evaluate.confidence,
        "arms": [_arm(run.store, arm, passes) for arm in arms],
        "latency_table": table and {"hardware_id": table.hardware_id, "error": table.error}, "final": final,
    }
    run.write("study.toml", plan.study_text.encode())
    run.write("search.json", (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
    return results


def read_results(run: Run) -> dict | None:
    """What search.json says, or None before it was written."""
    try:
        return json.loads(run.read("search.json"))
    except MissingKey:
        return None


def records_of(store: Store, arms: Sequence[Arm]) -> list[tuple[Arm, int, TrialRecord]]:
    """(arm, number, record) of every trial that has ended; of the kind that the arm was looking for."""
    return [(arm, p.number, dataclasses.replace(record, kind=arm.kind)) for arm in arms for p in arm.proposals
            if (record := read(store, p.trial)) is not None]


def _arm(store: Store, arm: Arm, passes: int) -> dict:
    """passes: how many forward passes a training costs, a backward one counted as two."""
    ended = records_of(store, [arm])
    return {"kind": arm.kind, "sampler": arm.sampler, "control": arm.control,
            "train_macs": passes * sum(record.macs or 0 for _, _, record in ended if record.state == DONE),
            "trials": [{"number": number, **dataclasses.asdict(record)} for _, number, record in ended]}
