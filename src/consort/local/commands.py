"""The processes of a run on this machine: how many, what each does, and its command."""

import os
import sys
from collections.abc import Mapping, Sequence

from consort import hardware
from consort.local.scheduler import Job
from consort.local.shares import shares
from consort.members.spec import MemberSpec
from consort.search.arms import Proposal
from consort.study.execution import RunSettings


def places(workers: int | None, settings: RunSettings, for_members: bool = False) -> list[Mapping[str, str]]:
    """The environment of each place: one thread per process, and one GPU where there are GPUs.

    workers: how many, by default what the settings say, else one per core or GPU. A GPU has one pack at a time, but
    `members_per_gpu` trials.
    """
    gpus = hardware.gpus()
    asked = workers or settings.workers
    if not gpus:
        number = asked or hardware.cores()
    elif for_members:
        number = min(asked or len(gpus), len(gpus))
    else:
        number = asked or len(gpus) * (settings.members_per_gpu or 1)
    base = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return [{**base, "CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else base for i in range(number)]


def member_jobs(specs: Sequence[MemberSpec], work: Mapping[str, float], store: str, settings: RunSettings,
                number: int) -> list[Job]:
    """So many jobs that train these members; work: of each, `run.work.work_of`."""
    return [Job([spec.id for spec in share], lambda members: train_command(members, store, settings),
                together=bool(hardware.gpus())) for share in shares(specs, number, work)]


def side_by_side(slots: Sequence[Mapping[str, str]]) -> str:
    """How many members train at a time, in words."""
    if hardware.gpus():
        return f"on {len(slots)} GPU{'s' if len(slots) > 1 else ''}, in packs"
    return f"{len(slots)} at a time"


def train_command(members: Sequence[str], store: str, settings: RunSettings) -> list[str]:
    """The command that trains members, with events on its standard output."""
    named = [argument for member in members for argument in ("--member", member)]
    most = ["--members-per-gpu", str(settings.members_per_gpu)] if settings.members_per_gpu else []
    return [sys.executable, "-m", "consort", "train", *named, *_step_options(store, settings), *most]


def trial_command(ref: str, kind: str, tried: Proposal, store: str, settings: RunSettings) -> list[str]:
    """The command that runs one trial of the planned search NAME/RUN, in the same way."""
    return [sys.executable, "-m", "consort", "trial", ref, "--kind", kind, "--networks", ",".join(tried.networks),
            *(["--second"] if tried.second else []), *_step_options(store, settings)]


def _step_options(store: str, settings: RunSettings) -> list[str]:
    options = ["--store", store, "--log", "json", "--checkpoint-seconds", str(settings.checkpoint_seconds),
               "--loader-workers", str(settings.loader_workers)]
    steps = settings.checkpoint_steps
    options += [] if steps is None else ["--checkpoint-steps", str(steps)]
    options += ["--deterministic"] if settings.deterministic else []
    return [*options, "--compile"] if settings.compile else options
