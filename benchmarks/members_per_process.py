"""What it saves that a worker trains its members in one process, one after another: torch is imported once for each
worker, and not once for each member.

    python benchmarks/members_per_process.py [--rounds 5] [--workers 2]

The members of studies/quickstart.toml, trained by so many workers: in one process for each worker, as `consort run`
does, and in one process for each member, in turn. CPU seconds (user and system, of all processes) and wall-clock
seconds; the saving is the median of the rounds' differences, with the smallest and the largest.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from consort.events import Event, Failed
from consort.local.commands import member_jobs
from consort.local.scheduler import Scheduler
from consort.run.plan import plan
from consort.run.run import Run
from consort.run.work import work_of
from consort.store import open_store
from consort.study.file import load_study

STUDY = Path(__file__).parent.parent / "studies" / "quickstart.toml"


def planned(folder: Path) -> Run:
    """The study with its data prepared, in a store that is copied for every measurement."""
    store = open_store(str(folder / "planned"))
    return Run(plan(store, load_study(STUDY), STUDY.parent, folder / "cache"), store, folder / "cache")


def trained(run: Run, folder: Path, workers: int, processes: int) -> tuple[float, float]:
    """Train all members in a fresh copy of the store; (CPU seconds, wall-clock seconds)."""
    copy = folder / "store"
    shutil.copytree(folder / "planned", copy)

    def listen(event: Event) -> None:
        if isinstance(event, Failed):
            raise SystemExit(f"{event.member}: {event.text}")

    todo = run.to_train()
    work = work_of(run, todo, on_gpu=False)
    jobs = member_jobs(todo, work, str(copy), run.study.run, processes)
    slots = [{**os.environ, "OMP_NUM_THREADS": "1", "CONSORT_CACHE": str(folder / "cache"),
              "CUDA_VISIBLE_DEVICES": ""}] * workers
    before, began = cpu_seconds(), time.perf_counter()
    Scheduler(slots, listen, lambda member: False).run(jobs)
    taken = cpu_seconds() - before, time.perf_counter() - began
    shutil.rmtree(copy)
    return taken


def cpu_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = planned(folder)
        shares, single = [], []
        for number in range(arguments.rounds):
            shares.append(trained(run, folder, arguments.workers, arguments.workers))
            single.append(trained(run, folder, arguments.workers, len(run.ids)))
            print(f"round {number + 1}: {shares[-1][0]:.1f} CPU-s, {shares[-1][1]:.1f} s in {arguments.workers} "
                  f"processes; {single[-1][0]:.1f} CPU-s, {single[-1][1]:.1f} s in {len(run.ids)}", flush=True)
    for what, index in (("CPU seconds", 0), ("wall-clock seconds", 1)):
        one, each = [s[index] for s in shares], [s[index] for s in single]
        saved = [e - o for o, e in zip(one, each, strict=True)]
        ratios = [e / o for o, e in zip(one, each, strict=True)]
        print(f"{what}: {median(one):.1f} in {arguments.workers} processes, {median(each):.1f} in {len(run.ids)}; "
              f"saved {median(saved):.1f} [{min(saved):.1f}, {max(saved):.1f}], a process for each member takes "
              f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] times as much; n = {len(one)}")


if __name__ == "__main__":
    main()
