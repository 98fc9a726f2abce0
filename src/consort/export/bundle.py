"""A choice as a folder that runs: model, manifest, examples, and what serves it.

    model.onnx          uint8 [N, height, width, 3] -> probabilities float32 [N, classes], members_asked int32 [N];
                        or model.pt2, the same as a program of torch.export
    manifest.json       what it is, what it was measured to do, and the sha256 of every other file
    labels.txt          a class a line, in the order of the probabilities
    examples/           test images, what the bundle answered to them, and what the study says of all test images
    predict.py, verify.py, serving.py   run, check and serve it, with what they share, without Consort and torch
    serve/              for KServe, Triton, a container, a Deployment
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from torch import nn

from consort import __version__, hardware
from consort.data.image_folder import ImageFolder
from consort.data.prepared import Prepared
from consort.documents import sha256
from consort.errors import InputError
from consort.export import measured, serve_files
from consort.export.chosen import Chosen, exportable
from consort.export.formats import FORMATS, stored_as
from consort.export.networks import open_network, sizes
from consort.export.place import MANIFEST, replaced
from consort.export.running import FORMAT, BundleError, open_session, run
from consort.export.views import Size, Views, views_of
from consort.members.records import MemberRecord
from consort.models.onnx_export import to_onnx, with_weights
from consort.store import Store

EXAMPLES = 16
LARGEST_BYTES = 2**31 - 2**20
"""Of one ONNX file: what protobuf has room for."""

Graph = TypeVar("Graph")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Origin:
    """Where a bundle comes from."""

    store: Store
    data: Prepared
    study: str
    run: str
    cache: Path
    image: str = f"docker.io/consort/consort:{__version__}"
    """Consort's, for a Deployment of the bundle."""


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of, checked before anything is written."""

    chosen: Chosen
    records: list[MemberRecord]
    views: Views
    half: bool
    format: str = "onnx"
    """Of FORMATS."""


def parts_of(origin: Origin, chosen: Chosen, half: bool = False, format: str = "onnx") -> Parts:
    """Raises InputError where a member has no weights, or wants images that cannot be made of those of another, and for
    torch where its version is too old."""
    if format == "torch":
        from consort.export.torch_program import check_torch

        check_torch()
    records = exportable(origin.store, chosen.members, origin.data)
    views = views_of(records, sizes(origin.store, records, origin.data), origin.data)
    return Parts(chosen, records, views, half, format)


def write_bundle(origin: Origin, parts: Parts, folder: Path, again: bool = False,
                 report: Report = lambda text: None) -> dict[str, Any]:
    """Write the bundle and return its manifest. A bundle that is there is replaced. InputError for another folder, and
    where the bundle cannot be run over the study's images.

    again: measure the latency anew, where the store has it.
    """
    try:
        with replaced(folder) as made:
            return _fill(origin, parts, made, again, report)
    except BundleError as e:
        raise InputError(str(e)) from e


def _fill(origin: Origin, parts: Parts, folder: Path, again: bool, report: Report) -> dict[str, Any]:
    model = (torch_bytes if parts.format == "torch" else onnx_bytes)(origin, parts, report)
    file = folder / FORMATS[parts.format].file
    file.write_bytes(model)
    rule, manifest = parts.views.rule, _description(origin, parts)
    threads, combination = hardware.cores(), parts.chosen.combination
    session, macs = open_session(file, threads), [record.macs for record in parts.records]
    manifest["measured"] = {}
    for split in ("val", "test"):
        report(f"running it over {origin.data.counts[split]:,} images ({split})")
        images = measured.split_images(origin.data, split, rule)
        probabilities, asked = run(session, images)
        _check_finite(probabilities, split, parts.half)
        manifest["measured"][split] = measured.quality(probabilities, asked, origin.data.labels(split), combination,
                                                       macs)
    answers = measured.study_answers(origin.store, parts.records, origin.data, "test", combination, origin.cache)
    manifest["study_agreement"] = measured.study_agreement(probabilities, asked, answers, _why_inexact(parts))
    report("measuring its latency")
    manifest["latency"] = measured.latency(origin.store, sha256(model), open_session(file), images, again,
                                           FORMATS[parts.format].runtime)
    manifest["latency"]["sum_of_members"] = parts.chosen.predicted
    write_examples(origin.data, folder / "examples", examples_of(asked), images, probabilities, asked)
    np.save(folder / "examples/study-answers.npy", answers, allow_pickle=False)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in origin.data.classes))
    (folder / "LICENSE-NOTES.txt").write_text(license_notes(parts.records))
    serve_files.write(folder, manifest, origin.store.uri, origin.image)
    return close(folder, manifest)


def close(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest, last: the sha256 of every file that is there."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
             if path.is_file()}
    manifest["files"] = {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in sorted(files.items())}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n")
    return manifest


def onnx_bytes(origin: Origin, parts: Parts, report: Report = lambda text: None) -> bytes:
    """The ONNX file; the same parts give the same bytes."""
    try:
        from consort.export.onnx_graph import Network, joined
    except ModuleNotFoundError as e:
        raise InputError(f"ONNX files need {e.name}: pip install 'consort[export]'.") from e
    graphs = _graphs(origin, parts, to_onnx, with_weights, report)
    num_bytes = sum(record.params for record in parts.records) * (2 if parts.half else 4)
    if num_bytes > LARGEST_BYTES:
        raise InputError(f"an ONNX file has room for 2 GiB, and these members have {num_bytes / 2**30:.1f} GiB of "
                         "weights: --half halves them, or name fewer with --members.")
    networks = [Network(graph, view) for graph, view in zip(graphs, parts.views.networks, strict=True)]
    model = joined(networks, parts.chosen.combination, parts.views.size, len(origin.data.classes), parts.half)
    return model.SerializeToString(deterministic=True)


def torch_bytes(origin: Origin, parts: Parts, report: Report = lambda text: None) -> bytes:
    """The program of torch.export; the same parts give the same bytes."""
    from consort.export import torch_program
    from consort.export.torch_program import Half, Joined, Member

    networks = _graphs(origin, parts, torch_program.plain, torch_program.with_weights, report)
    seeing = [Member(Half(network) if parts.half else network, view)
              for network, view in zip(networks, parts.views.networks, strict=True)]
    return torch_program.program_bytes(Joined(seeing, parts.chosen.combination), parts.chosen.label, parts.views.size)


def _graphs(origin: Origin, parts: Parts, export: Callable[[nn.Module, str, Size], Graph],
            weighted: Callable[[Graph, nn.Module], Graph | None], report: Report) -> list[Graph]:
    """A graph of each network, in order. Exporting takes seconds, so networks of one architecture and size share it:
    `weighted` gives the graph of one with the weights of another, or None where it cannot."""
    exported: dict[tuple[str, Size], Graph] = {}
    graphs = []
    for record, view in zip(parts.records, parts.views.networks, strict=True):
        report(f"exporting {record.id}")
        network, kind = open_network(origin.store, record, len(origin.data.classes)), (record.architecture, view.size)
        graph = weighted(exported[kind], network) if kind in exported else None
        if graph is None:
            graph = exported[kind] = export(network, record.architecture, view.size)
        graphs.append(graph)
    return graphs


def _description(origin: Origin, parts: Parts) -> dict[str, Any]:
    """The part of the manifest that is known before the bundle runs."""
    chosen, data = parts.chosen, origin.data
    combination = chosen.combination
    return {
        "format": FORMAT, "model": FORMATS[parts.format].file,
        "name": f"{origin.study}-{stored_as(chosen.id, parts.format)}", "label": chosen.label, "kind": chosen.kind,
        "study": origin.study, "run": origin.run, "candidate": chosen.id,
        "members": [{"id": r.id, "network": r.architecture, "macs": r.macs, "params": r.params, "input": r.input,
                     "trained_in": r.precision, "origin": "imported" if r.imported else "trained",
                     "preprocessing": r.preprocessing}
                    for r in parts.records],
        "combination": {"combine": combination.combine, "stages": list(combination.stages),
                        "temperatures": list(combination.temperatures), "confidence": combination.confidence,
                        "thresholds": [None if t == float("inf") else t for t in combination.thresholds],
                        "promise": chosen.promise},
        "weights": "float16" if parts.half else "float32", "input": parts.views.rule, "labels": data.classes,
        "data": {"name": data.name, "fingerprint": data.fingerprint,
                 "test_images": data.manifest.files.get("test-images.npy", {}).get("sha256")},
        "versions": hardware.versions(FORMATS[parts.format].packages) | {"consort": __version__}}


def _check_finite(probabilities: np.ndarray, split: str, half: bool) -> None:
    """InputError where the bundle answers with no numbers: a weight may be too large for float16."""
    if lost := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        remedy = "Export it without --half: float16 ends at 65,504." if half else "Name other members with --members."
        raise InputError(f"the bundle gives infinite or NaN probabilities for {lost:,} of the {len(probabilities):,} "
                         f"images of {split}. {remedy}")


def _why_inexact(parts: Parts) -> str | None:
    """Why answers differ from the study's by more than the rounding of float32; None where they must not."""
    reasons = []
    if any(record.precision != "float32" for record in parts.records):
        reasons.append("the study's predictions were computed in bfloat16 and the bundle computes in float32")
    if parts.half:
        reasons.append("the bundle's weights are float16")
    if not parts.views.exact:
        reasons.append("some networks see images that are made of the bundle's and not of the files")
    return ", and ".join(reasons) or None


def examples_of(asked: np.ndarray) -> list[int]:
    """Test images spread over the data's order; for each number of members asked there is one, where there is any."""
    spread = sorted({round(i) for i in np.linspace(0, len(asked) - 1, min(EXAMPLES, len(asked)))})
    for count in np.unique(asked)[::-1]:
        if count not in asked[spread]:
            most = max(np.unique(asked[spread]), key=lambda c: (asked[spread] == c).sum())
            spread[next(i for i in reversed(range(len(spread))) if asked[spread[i]] == most)] = int(
                np.flatnonzero(asked == count)[0])
    return sorted(spread)


def write_examples(data: Prepared, folder: Path, chosen: Sequence[int], images: Sequence[np.ndarray],
                   probabilities: np.ndarray, asked: np.ndarray) -> None:
    """Image files as a user would send them, and expected.json."""
    folder.mkdir()
    labels, expected = data.labels("test"), []
    for number, index in enumerate(chosen):
        if data.manifest.layout == "arrays":
            name, content = f"{number:02d}.png", _png(np.asarray(images[index]))
        else:
            path = data.paths("test")[index]
            name, content = f"{number:02d}{Path(path).suffix.lower()}", ImageFolder(data.image_root).read(path)
        (folder / name).write_bytes(content)
        expected.append({"file": name, "test_image": int(index), "label": data.classes[labels[index]],
                         "answer": data.classes[int(probabilities[index].argmax())],
                         "members_asked": int(asked[index]),
                         "probabilities": [round(float(p), 7) for p in probabilities[index]]})
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def _png(image: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return written.getvalue()


def license_notes(records: Sequence[MemberRecord]) -> str:
    """Whose weights these are: a licence of weights, or of what they were trained on, is not known to Consort."""
    foreign = [f"{r.id} ({r.architecture}): weights from {r.recipe.get('weights') or 'elsewhere'}" for r in records
               if r.imported]
    own = [f"{r.id} ({r.architecture}): trained in this study" for r in records if not r.imported]
    ask = "\nAsk where the imported weights came from under which terms they may be used and passed on.\n"
    return "\n".join([*foreign, *own, ask if foreign else ""])
