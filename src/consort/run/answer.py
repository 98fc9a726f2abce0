"""The answer step: what a run's members and networks still lack is made, then the ensembles are compared.

What is lacking is found without torch. Making it needs torch: in this process (`predicted`, `measure_latencies`), or in
a process of its own (`evaluate`, which stays small and quick so).
"""

import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from consort import hardware
from consort.costs.conditions import Asked, Network, parse_size
from consort.costs.stored import chosen, lacking, lacking_together
from consort.data.findings import printable
from consort.data.prepared import told
from consort.ensembles.composition import compositions
from consort.errors import IncompleteRun, IntegrityError, StepFailed
from consort.evaluate.step import evaluate as evaluate_members
from consort.events import Listener, Measured
from consort.members.lacking import missing_logits, no_torch
from consort.members.records import MemberRecord
from consort.run.run import Run
from consort.store import Store
from consort.store.files import as_text

if TYPE_CHECKING:
    from consort.train.prediction import Comparison

LARGEST_TOGETHER, MIXED_TOGETHER, MOST_TOGETHER = 4, 3, 24
"""Ensembles whose members are timed at the same time on a GPU: of so many members of one architecture, and of several,
and so many of them, the uniform ones first: each takes about a second."""


def evaluate(run: Run, command: str, failed: Mapping[str, str] = MappingProxyType({})) -> dict:
    """Predict what is missing, measure latencies, compare every ensemble with the singles; the summary.

    command: what the user typed; it stands in the report. failed: why members that this process tried are not there.
    Raises IncompleteRun where no member is finished.
    """
    missing = run.unfinished(failed)
    records = [record for record in run.records() if record.id not in missing]
    if not records:
        raise nothing_finished(missing)
    absent = missing_logits(run.store, records, further_test_sets(run))
    if absent and not importlib.util.find_spec("torch"):
        raise no_torch(absent, run.ref)
    if absent or _unmeasured(run, records):
        _predict_apart(run)
    latencies = chosen(run.store, _asked(run, records))
    run.write("study.toml", run.plan.study_text.encode())
    return evaluate_members(run.store, run.study, run.plan.run, [record.id for record in records], run.plan.data,
                            run.plan.also, latencies.first, missing, run.cache, _context(run, command),
                            latencies.more)


def further_test_sets(run: Run) -> dict[str, str]:
    """Name -> fingerprint."""
    return {name: data.fingerprint for name, data in run.plan.also.items()}


def nothing_finished(missing: Mapping[str, str]) -> IncompleteRun:
    """No member is there, so there is nothing to evaluate."""
    return IncompleteRun("no member finished, so there is nothing to evaluate:\n"
                         + "\n".join(f"  {member}: {reason}" for member, reason in missing.items()))


def _asked(run: Run, records: Sequence[MemberRecord]) -> Asked:
    """The latencies that the study wants of these members' networks, in the number format of their recipes."""
    networks = {record.architecture: Network(parse_size(record.input), record.recipe.get("precision", "auto"))
                for record in records}
    seeds = Counter(record.architecture for record in records)
    ensembles = compositions({name: min(count, LARGEST_TOGETHER) for name, count in seeds.items()},
                             min(run.study.evaluate.mixed_members, MIXED_TOGETHER))
    return Asked(run.study.latency, len(run.plan.data.classes), networks,
                 [one for one in ensembles if one.num_members > 1][:MOST_TOGETHER])


def _unmeasured(run: Run, records: Sequence[MemberRecord]) -> bool:
    """Whether the study wants latencies of this machine, which lacks some and has torch to measure them."""
    if run.study.latency.hardware is not None or not importlib.util.find_spec("torch"):
        return False
    asked, gpu = _asked(run, records), bool(hardware.gpus())
    return any(lacking(run.store, asked, gpu)) or bool(lacking_together(run.store, asked, gpu))


def _predict_apart(run: Run) -> None:
    """`consort predict` as a process of its own."""
    command = ["predict", run.ref, "--loader-workers", str(run.study.run.loader_workers), "--store", run.store.uri]
    done = subprocess.run([sys.executable, "-m", "consort", *command], capture_output=True, text=True)
    if done.returncode:
        raise StepFailed("predict", done.returncode, done.stderr.strip() or f"exit code {done.returncode}")


def _context(run: Run, command: str) -> dict:
    manifest = run.plan.data.manifest
    # Printable: names of the file system may be no text, and the report is.
    return {"command": printable(as_text(command)), "store": printable(as_text(run.store.uri)),
            "study_text": run.plan.study_text,
            "data": {"name": manifest.name, "fingerprint": run.plan.data.fingerprint, "counts": manifest.counts,
                     "layout": manifest.layout, "unreadable": manifest.unreadable,
                     **told({"found": run.plan.data, **run.plan.also})},
            "hardware": hardware.describe(), "versions": hardware.versions()}


@dataclass(frozen=True)
class Predicting:
    """How `predicted` works: what it predicts again, and where the images are."""

    cache: Path
    recompute: bool = False
    loader_workers: int = 0
    images: Path | None = None


def predicted(store: Store, records: Sequence[MemberRecord], further: Mapping[str, str], how: Predicting,
              listen: Listener, ref: str = "--member ...") -> "Iterator[Comparison]":
    """Write the missing logits of finished members; with `recompute`, yields how the stored ones compare.

    further: name -> fingerprint of further test sets. ref: what `consort predict` is given, for a message. Raises
    InputError where something is to be predicted and torch is not installed, and IntegrityError, after the last
    member, where stored logits are not those of their weights.
    """
    absent = missing_logits(store, records, further)
    todo = [record for record in records if how.recompute or record.id in absent]
    if not todo:
        return
    if not importlib.util.find_spec("torch"):
        raise no_torch(absent or {record.id: ["recomputing"] for record in todo}, ref)
    from consort.data.prepared import open_prepared
    from consort.train.prediction import predict

    others = {name: open_prepared(store, fingerprint, how.cache) for name, fingerprint in further.items()}
    different = []
    for record in todo:
        data = open_prepared(store, record.data, how.cache, how.images)
        for compared in predict(store, record.id, data, others, how.recompute, how.loader_workers, listen):
            yield compared
            different += [compared] if not compared.agrees else []
    if different:
        raise IntegrityError(f"the weights and the stored logits of {different[0].member} do not belong together "
                             f"({different[0].test_set} differs by up to {different[0].largest_difference:.3g}). "
                             f"`consort rm {different[0].member}` and run the study again.")


def measure_latencies(run: Run, records: Sequence[MemberRecord], listen: Listener) -> None:
    """Measure the latencies that are not known of this machine, where the study asks for them and torch is here."""
    settings = run.study.latency
    if settings.hardware is not None or not importlib.util.find_spec("torch"):
        return
    from consort.costs.latency import find_or_measure_all, find_or_measure_at_once

    asked, gpu = _asked(run, records), bool(hardware.gpus())
    for wanted in lacking(run.store, asked, gpu):
        for name, record in find_or_measure_all(run.store, wanted, settings.repeats).items():
            listen(Measured(name, record.median_ms, record.batch_size))
    for label, parts in lacking_together(run.store, asked, gpu).items():
        record = find_or_measure_at_once(run.store, label, parts, settings.repeats)
        listen(Measured(label, record.median_ms, record.batch_size))
