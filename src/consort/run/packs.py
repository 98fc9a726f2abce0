"""Which members of a run share a job on a cluster."""

from collections.abc import Mapping, Sequence

from consort.run.run import Run
from consort.train.packs import packs


def job_packs(run: Run, members: Sequence[str]) -> list[list[str]]:
    """The members of each job, for these members of the run: of one architecture and recipe, and as [cluster]
    members_per_job says at most."""
    most = run.study.cluster.members_per_job
    if most == 1:
        return [[member] for member in members]
    wanted = set(members)
    found = packs([spec for spec in run.plan.specs if spec.id in wanted], {}, most)
    return [[spec.id for spec in pack] for pack in found]


def to_launch(run: Run, states: Mapping[str, str]) -> list[list[str]]:
    """The members of each job that brings the run what it lacks, by its `states()`.

    One that failed before is by itself: it fails again, and its step on KFP is about no other."""
    return [*job_packs(run, [member for member, state in states.items() if state == "to train"]),
            *([member] for member, state in states.items() if state == "failed")]
