"""Run a study on this machine: members side by side, then predict, measure latencies, evaluate and report."""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from consort import hardware, members
from consort.costs.stored import chosen, stored_here
from consort.errors import StepFailed
from consort.evaluate.step import evaluate
from consort.events import Outcome
from consort.local.scheduler import Job, Scheduler, places, train_command
from consort.members.lacking import missing_logits, no_torch
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet
from consort.report import write_report
from consort.run.plan import Plan
from consort.run.state import import_members, nothing_finished, read_summary, to_train, unfinished
from consort.screen.members import Progress
from consort.store import Store, keys

STAGES = ("members", "evaluate", "report")


@dataclass(frozen=True)
class LocalRun:
    """A planned study and how to execute it on this machine."""

    store: Store
    plan: Plan
    cache: Path
    console: Console
    command: str
    """What the user typed; it stands in the report."""
    workers: int | None = None

    def execute(self, only: str | None = None) -> tuple[dict, dict[str, str]]:
        """All stages, or one; returns the summary (empty after `only="members"`) and why each missing member is."""
        failed = self.train_members().failed if only in (None, "members") else {}
        summary: dict = {}
        if only in (None, "evaluate"):
            summary = self.evaluate(failed)
        if only in (None, "report"):
            write_report(self.store, self.plan.study.name, self.plan.run)
            summary = summary or read_summary(self.store, self.plan)
        return summary, unfinished(self.store, self.plan, failed)

    def train_members(self) -> Outcome:
        """Import and train what is missing. A member that failed before would fail again, and is left alone."""
        import_members(self.store, self.plan)
        todo = to_train(self.store, self.plan)
        if not todo:
            return Outcome()
        jobs = [Job(s.id, train_command(s.id, self.store.uri, self.plan.study.run)) for s in _costliest_first(todo)]
        slots = places(self.workers, self.plan.study.run)[:len(jobs)]
        self.console.print(f"training {len(jobs)} of {len(self.plan.specs)} members, {len(slots)} at a time",
                           highlight=False)
        with Progress(self.console, [j.member for j in jobs], len(self.plan.specs) - len(jobs)) as progress:
            scheduler = Scheduler(slots, progress.listen,
                                  lambda member: members.read_record(self.store, member) is not None)
            return scheduler.run(jobs)

    def evaluate(self, failed: Mapping[str, str] = MappingProxyType({})) -> dict:
        """Predict what is missing, measure latencies, compare every ensemble with the singles; the summary.

        failed: why members that this run tried are not there."""
        missing = unfinished(self.store, self.plan, failed)
        finished = [s.id for s in self.plan.specs if s.id not in missing]
        if not finished:
            raise nothing_finished(missing)
        records = [record for m in finished if (record := members.read_record(self.store, m)) is not None]
        sizes = {record.architecture: record.input for record in records}
        classes, settings = len(self.plan.data.classes), self.plan.study.latency
        self._predict(records, sizes)
        latencies = chosen(self.store, sizes, classes, settings)
        self.store.write(keys.study_file(self.plan.study.name, self.plan.run, "study.toml"),
                         self.plan.study_text.encode())
        return evaluate(self.store, self.plan.study, self.plan.run, finished, self.plan.data, self.plan.also, latencies,
                        missing, self.cache, self._context())

    def _predict(self, records: Sequence[MemberRecord], sizes: Mapping[str, str]) -> None:
        """Write missing logits and measure missing latencies, in a process of its own where anything is missing."""
        lacking = missing_logits(self.store, records, {name: d.fingerprint for name, d in self.plan.also.items()})
        if not importlib.util.find_spec("torch"):
            if lacking:
                raise no_torch(lacking, self.plan.ref)
            return
        settings = self.plan.study.latency
        known = stored_here(self.store, sizes, len(self.plan.data.classes), settings)
        if lacking or (settings.hardware is None and known.keys() != sizes.keys()):
            self._step("predict", self.plan.ref, "--loader-workers", str(self.plan.study.run.loader_workers))

    def _step(self, name: str, *arguments: str) -> None:
        """Run a step as a process of its own."""
        done = subprocess.run([sys.executable, "-m", "consort", name, *arguments, "--store", self.store.uri],
                              capture_output=True, text=True)
        if done.returncode:
            raise StepFailed(name, done.returncode, done.stderr.strip() or f"exit code {done.returncode}")

    def _context(self) -> dict:
        manifest = self.plan.data.manifest
        return {"command": self.command, "store": self.store.uri, "study_text": self.plan.study_text,
                "data": {"name": manifest.name, "fingerprint": self.plan.data.fingerprint, "counts": manifest.counts,
                         "layout": manifest.layout, "unreadable": manifest.unreadable},
                "hardware": hardware.describe(), "versions": hardware.versions()}


def _costliest_first(specs: Sequence[MemberSpec]) -> list[MemberSpec]:
    """The order that ends soonest: a long training that starts last would run alone."""
    names = {s.architecture for s in specs}
    sizes = {name: wide_resnet(name) for name in names}
    cost = {name: (size[0] - 4) * size[1] ** 2 for name, size in sizes.items() if size is not None}
    if len(names) > 1 and cost.keys() != names:
        from consort.costs.macs import count  # torch takes seconds to import, and wide residual networks do without

        cost = {name: count(name).macs for name in names}
    return sorted(specs, key=lambda s: -cost.get(s.architecture, 0) * s.recipe.epochs)
