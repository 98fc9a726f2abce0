"""What a planned run has and what it lacks, wherever its members are trained."""

import importlib.util
import json
from collections.abc import Mapping

from consort import members
from consort.errors import IncompleteRun
from consort.members.spec import MemberSpec
from consort.run.plan import Plan
from consort.store import Store, keys

NOT_IMPORTED = ("its weights are imported by a command that has torch: `consort run --only members`, with the same "
                "--target, where torch is installed")


def import_members(store: Store, plan: Plan) -> None:
    """Make members of the weights that the study imports, where torch is installed."""
    for spec in plan.specs:
        absent = spec.id in plan.weights and members.read_record(store, spec.id) is None
        if absent and importlib.util.find_spec("torch"):
            from consort.train.imported_weights import (
                import_member,  # torch is needed here only when weights are imported
            )

            import_member(store, spec, plan.data, plan.weights[spec.id])


def to_train(store: Store, plan: Plan) -> list[MemberSpec]:
    """Members that are not there and can be trained: one that failed before would fail again."""
    present = members.files(store, [s.id for s in plan.specs])
    return [s for s in plan.specs
            if s.id not in plan.weights and not present[s.id] & {"member.json", "failed.json"}]


def unfinished(store: Store, plan: Plan, failed: Mapping[str, str]) -> dict[str, str]:
    """Planned member -> why it is not there: what this process (`failed`) or the store knows."""
    present = members.files(store, [s.id for s in plan.specs])
    absent = [member for member, names in present.items() if "member.json" not in names]
    return {m: failed.get(m) or members.why_missing(store, m)
            or (NOT_IMPORTED if m in plan.weights else "not finished") for m in absent}


def nothing_finished(missing: Mapping[str, str]) -> IncompleteRun:
    """No member is there, so there is nothing to evaluate."""
    return IncompleteRun("no member finished, so there is nothing to evaluate:\n"
                         + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


def read_summary(store: Store, plan: Plan) -> dict:
    """The summary of a run that was evaluated; raises MissingKey where it was not."""
    return json.loads(store.read(keys.study_file(plan.study.name, plan.run, "summary.json")))
