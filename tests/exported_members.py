"""A study's store whose members have random weights and what these predict in float32: nothing is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from consort import members
from consort.answer.choices import Candidate, Costs, OnTest, OnValidation, Promise
from consort.costs.macs import count
from consort.data.prepare import prepare
from consort.data.prepared import Prepared
from consort.export.bundle import Origin, parts_of, write_bundle
from consort.export.chosen import chosen_of
from consort.members.logits import write_logits
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models.compute import Compute
from consort.models.families import build
from consort.models.forward import predict_logits
from consort.models.input_size import input_size, network_input
from consort.store.folder import FolderStore
from consort.study.data import Data
from consort.study.recipe import Recipe

STUDY, RUN = "small", "0123456789"


@dataclass(frozen=True)
class ExportedMembers:
    store: FolderStore
    data: Prepared
    ids: list[str]

    @property
    def origin(self) -> Origin:
        return Origin(self.store, self.data, STUDY, RUN, self.store.root / "cache")

    def candidate(self, id: str, kind: str, numbers: list[int], **values: Any) -> Candidate:
        """A candidate of these members; its costs and accuracies are not looked at when it is exported."""
        costs = Costs(*[0.0] * 2, *[None] * 4, params=0, bytes=None, train_macs=None)
        how = {"combine": "geometric", "temperatures": (1.1,), "confidence": None, "thresholds": (), "promise": None}
        return Candidate(id, f"{kind} of {len(numbers)}", kind, tuple(self.ids[n] for n in numbers), (),
                         **{**how, **values}, costs=costs, val=OnValidation(0, 0, 0),
                         test=OnTest(0, 0, 0, 0, 0, 0, 0, 0))

    def cascade(self, numbers: list[int]) -> Candidate:
        """One that asks two members, sure by a margin of 0.5."""
        promise = Promise(0.01, 0.95, "loses at most 1 point")
        return self.candidate("c1", "cascade", numbers, temperatures=(1.2, 1.0), confidence="margin",
                              thresholds=(0.5,), promise=promise)

    def export(self, candidate: Candidate, folder: Path, half: bool = False, format: str = "onnx") -> Path:
        """The candidate's bundle."""
        write_bundle(self.origin, parts_of(self.origin, chosen_of(candidate), half, format), folder)
        return folder


def digits(folder: Path, architectures: list[str]) -> ExportedMembers:
    """scikit-learn's digits: 20 images for training, 30 for validation, 1,197 for testing."""
    store = FolderStore(folder)
    data = prepare(store, Data(source="digits", train_images=20, val_images=30), Path(), folder / "cache")
    return of(store, data, architectures)


def of(store: FolderStore, data: Prepared, architectures: list[str], **recipe: Any) -> ExportedMembers:
    ids = []
    for seed, architecture in enumerate(architectures):
        spec = MemberSpec(architecture, data.fingerprint, Recipe(precision="float32", **recipe), seed)
        members.write_specs(store, [spec])
        _write(store, data, spec)
        ids.append(spec.id)
    return ExportedMembers(store, data, ids)


def _write(store: FolderStore, data: Prepared, spec: MemberSpec) -> None:
    torch.manual_seed(spec.seed)
    network = build(spec.architecture, len(data.classes)).eval()
    next(reversed(list(network.parameters()))).data.normal_()  # a bias, so that not all images get one class
    list(network.parameters())[-2].data *= 40  # and is sure of some
    cpu = Compute(torch.device("cpu"), "float32")
    logits = {split: predict_logits(cpu.place(network), data, split, input_size(spec, data), cpu)
              for split in ("val", "test")}
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    files = members.write_files(store, spec.id, {"weights.safetensors": safetensors.torch.save(weights)})
    files |= write_logits(store, spec.id, logits)
    cost = count(spec.architecture, network_input(spec, data), len(data.classes))
    members.write_record(store, MemberRecord(
        id=spec.id, architecture=spec.architecture, data=data.fingerprint, recipe=spec.recipe.model_dump(mode="json"),
        seed=spec.seed, files=files, macs=cost.macs, params=cost.params, input=cost.input, val_accuracy=0.1,
        precision="float32"))
