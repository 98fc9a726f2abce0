"""Which members of a run share a job on a cluster, and what to doubt of how many do."""

from collections.abc import Iterator, Mapping, Sequence

from consort.run.run import Run
from consort.study.execution import Cluster
from consort.study.file import Study
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


def doubts(study: Study) -> Iterator[str]:
    """What in [cluster] and [run] does not do what whoever wrote it is likely to want of a cluster."""
    cluster, most = study.cluster, study.cluster.members_per_job
    if not cluster.gpus and cluster.gpu_resource != Cluster().gpu_resource:
        yield (f"[cluster] gpu_resource is {cluster.gpu_resource!r}, but gpus is 0: pods ask for none, and train on "
               "the processor. Set gpus to 1.")
    if cluster.gpus == 1 and (side_by_side := study.run.members_per_gpu or 0) > most:
        yield (f"[run] members_per_gpu is {side_by_side}, but [cluster] members_per_job is {most}: so many share a pod "
               f"and its GPU at most. Set members_per_job to {side_by_side} or a multiple of it.")


def to_launch(run: Run, states: Mapping[str, str]) -> list[list[str]]:
    """The members of each job that brings the run what it lacks, by its `states()`.

    One that failed before is by itself: it fails again, and its step on KFP is about no other."""
    return [*job_packs(run, [member for member, state in states.items() if state == "to train"]),
            *([member] for member, state in states.items() if state == "failed")]
