"""search.json: what a search found, for its report. No torch here."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence

from consort.costs.conditions import size_text
from consort.errors import MissingKey
from consort.run.run import Run
from consort.search.arms import Arm, records_of
from consort.search.latencies import hardware_of, known_table, network_size
from consort.search.records import TrialRecord
from consort.search.retraining import Finalist, best, finalists, second_arms
from consort.search.trials import DONE, search_of
from consort.store import Store


def write_results(run: Run, arms: Sequence[Arm], final: dict | None) -> dict:
    """Write study.toml and search.json, and return the latter.

    final: what the winners' study showed, or None before it.
    """
    plan, search = run.plan, search_of(run.plan)
    table = known_table(run) if search.objective.source == "table" else None
    found = finalists(run, arms)
    everything = [*arms, *second_arms(found)]
    by_kind = {arm.kind: [one for one in everything if one.kind == arm.kind] for arm in arms}
    passes = 3 * search.trial_recipe(plan.study.recipe).epochs * plan.data.counts["train"]
    results = {
        "study": plan.study.name, "run": plan.run, "question": plan.study.question,
        "objective": search.objective.model_dump(mode="json"), "members": search.members,
        "hardware_id": hardware_of(plan.study), "input": size_text(network_size(plan)),
        "val_images": len(plan.data.labels("val")), "confidence": plan.study.evaluate.confidence,
        "arms": [_arm(run.store, arm, passes) for arm in arms], "retraining": _retraining(found, passes),
        "train_macs": {kind: passes * _macs(record for _, _, record in records_of(run.store, of_kind))
                       for kind, of_kind in by_kind.items()},
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


def _arm(store: Store, arm: Arm, passes: int) -> dict:
    """passes: how many forward passes a training costs, a backward one counted as two."""
    ended = records_of(store, [arm])
    return {"kind": arm.kind, "sampler": arm.sampler, "control": arm.control,
            "train_macs": passes * _macs(record for _, _, record in ended),
            "trials": [{"number": number, **dataclasses.asdict(record)} for _, number, record in ended]}


def _retraining(found: Mapping[str, Sequence[Finalist]], passes: int) -> dict | None:
    """The second trainings: a row for each, and what those of a kind cost; None where none has ended."""
    seconds = {kind: [one.second for one in of_kind if one.second is not None] for kind, of_kind in found.items()}
    if not any(seconds.values()):
        return None
    return {"rows": [_finalist(one, one is best(of_kind)) for of_kind in found.values() for one in of_kind],
            "train_macs": {kind: passes * _macs(of_kind) for kind, of_kind in seconds.items()}}


def _finalist(one: Finalist, wins: bool) -> dict:
    first, second = one.first, one.second
    return {"kind": first.kind, "networks": list(first.networks), "trial": first.id, "second_trial": one.proposal.trial,
            "reward": first.reward, "accuracy": first.accuracy, "reward_second": second and second.reward,
            "accuracy_second": second and second.accuracy, "reward_mean": one.mean_reward, "winner": wins,
            "state": second and second.state, "reason": second and second.reason,
            "train_seconds": second.train_seconds if second else 0.0}


def _macs(records: Iterable[TrialRecord]) -> int:
    """Of one pass of all their members, each counted once, although trials of an arm share members; those of records
    that do not tell the members' own are counted in every trial."""
    of_members: dict[str, int] = {}
    untold = 0
    for record in records:
        if record.member_macs is not None:
            of_members |= dict(zip(record.members, record.member_macs, strict=True))
        elif record.state == DONE:
            untold += record.macs or 0
    return sum(of_members.values()) + untold
