"""What `consort predict` does: find out what is missing, without torch, and only then load it."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consort.cli.app import cache_folder

if TYPE_CHECKING:
    from consort.members.records import MemberRecord
    from consort.run.plan import Plan
    from consort.store import Store

Report = Callable[..., None]


def predict_members(store: "Store", names: Sequence[str], also: Mapping[str, str], recompute: bool,
                    loader_workers: int, images: Path | None, report: Report) -> None:
    """The missing logits of these finished members; also: name -> fingerprint of further test sets."""
    from consort import members
    from consort.errors import InputError

    records = []
    for member in [members.find(store, name) for name in names]:
        record = members.read_record(store, member)
        if record is None:
            raise InputError(f"member {member} is not finished: there are no weights to predict with.")
        records.append(record)
    _logits(store, records, also, recompute, loader_workers, images, report, "--member ...")


def predict_study(store: "Store", study: Path, data: str | None, names: Sequence[str], also: Mapping[str, str],
                  recompute: bool, latency: bool, loader_workers: int, images: Path | None, report: Report) -> None:
    """The missing logits of a study's finished members, or of those named, and the latencies missing here."""
    from rich.console import Console

    from consort import members
    from consort.cli.planning import planned_study

    plan = planned_study(store, study, Console(stderr=True), data).plan
    ids = [spec.id for spec in plan.specs]
    chosen = [members.find(store, name) for name in names] or ids
    records = [record for member in chosen if (record := members.read_record(store, member)) is not None]
    further = {name: d.fingerprint for name, d in plan.also.items()} | dict(also)
    _logits(store, records, further, recompute, loader_workers, images, report, plan.ref)
    if latency and plan.study.latency.hardware is None:
        _latencies(store, plan, records, report)


def _logits(store: "Store", records: Sequence["MemberRecord"], further: Mapping[str, str], recompute: bool,
            loader_workers: int, images: Path | None, report: Report, what: str) -> None:
    from consort.members.lacking import missing_logits, no_torch

    lacking = missing_logits(store, records, further)
    todo = [record.id for record in records] if recompute else list(lacking)
    if not todo:
        return
    if not importlib.util.find_spec("torch"):
        raise no_torch(lacking or {member: ["recomputing"] for member in todo}, what)
    from consort.data.prepared import open_prepared
    from consort.errors import IntegrityError
    from consort.train.prediction import predict

    others = {name: open_prepared(store, fingerprint, cache_folder()) for name, fingerprint in further.items()}
    data_of = {record.id: record.data for record in records}
    different = []
    for member in todo:
        data = open_prepared(store, data_of[member], cache_folder(), images)
        for c in predict(store, member, data, others, recompute, loader_workers, report):
            verdict = "identical" if c.identical else f"largest difference {c.largest_difference:.3g}"
            print(f"{c.member}  {c.test_set}: {verdict}, accuracy {c.stored_accuracy:.4f} stored, "
                  f"{c.recomputed_accuracy:.4f} recomputed", flush=True)
            different += [c] if not c.agrees else []
    if different:
        raise IntegrityError(f"the weights and the stored logits of {different[0].member} do not belong together "
                             f"({different[0].test_set} differs by up to {different[0].largest_difference:.3g}). "
                             f"`consort rm {different[0].member}` and run the study again.")


def _latencies(store: "Store", plan: "Plan", records: Sequence["MemberRecord"], report: Report) -> None:
    """Measure what is not known of this machine, where torch is installed."""
    from consort.costs.stored import stored_here

    sizes = {record.architecture: record.input for record in records}
    settings, classes = plan.study.latency, len(plan.data.classes)
    known = stored_here(store, sizes, classes, settings)
    unknown = {name: size for name, size in sizes.items() if name not in known}
    if not unknown or not importlib.util.find_spec("torch"):
        return
    from consort.cli.costs import parse_size
    from consort.costs.latency import measured

    for name, size in unknown.items():
        pixels = parse_size(size)
        assert pixels is not None
        record = measured(store, name, pixels, classes, settings.batch_size, settings.threads, settings.repeats)
        report("measured", architecture=name, median_ms=record.median_ms)
