"""The stages of a run, the same wherever it executes: train its members, evaluate, report."""

from consort.errors import InputError
from consort.run.run import Run
from consort.run.target import Target

STAGES = ("members", "evaluate", "report")


def execute(run: Run, target: Target, only: str | None = None) -> tuple[dict, dict[str, str]]:
    """All stages, or one; returns the summary (empty after `only="members"`) and why each missing member is.

    Raises InputError where the study names no architectures.
    """
    if not run.ids:
        raise InputError(f"the study {run.study.name} names no architectures, only a [search]: `consort search "
                         f"{run.ref}` looks for them and compares what it finds.")
    failed = target.train(run).failed if only in (None, "members") else {}
    summary = target.answer(run, failed, only) if only != "members" else {}
    return summary, run.unfinished(failed)
