"""Weights that exist already become members without training."""

from datetime import UTC, datetime
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from consort import hardware, members
from consort.costs.macs import count
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.families import build
from consort.models.input_size import network_input
from consort.store import Store


def import_member(store: Store, spec: MemberSpec, data: Prepared, source: str) -> MemberRecord:
    """Write a member whose weights come from `source`: a safetensors file, or torchvision's name of weights.

    Its logits are written by the predict step. Raises InputError where the weights do not fit the architecture.
    """
    done = members.read_record(store, spec.id)
    if done is not None:
        return done
    state = _load(spec.architecture, source)
    with torch.device("meta"):
        network = build(spec.architecture, len(data.classes))
    _check_fit(spec.architecture, source, network.state_dict(), state, len(data.classes))
    files = members.write_files(store, spec.id, {"weights.safetensors": safetensors.torch.save(state)})
    cost = count(spec.architecture, network_input(spec, data), len(data.classes))
    record = MemberRecord(
        id=spec.id, architecture=spec.architecture, data=spec.data, recipe=spec.recipe.model_dump(mode="json"),
        seed=spec.seed, files=files, macs=cost.macs, params=cost.params, input=cost.input, val_accuracy=None,
        precision=compute.choose(spec.recipe.precision).precision, imported=True, hardware=hardware.describe(),
        versions=hardware.versions(), finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
    members.write_record(store, record)
    return record


def _load(architecture: str, source: str) -> dict[str, Tensor]:
    if not source.endswith(".safetensors"):
        try:
            from consort.models.torchvision_models import pretrained  # torchvision takes seconds to import

            return pretrained(architecture, source)
        except (OSError, RuntimeError) as e:
            raise InputError(f"the weights {source} of {architecture} cannot be downloaded ({e}). Without a network: "
                             "save them elsewhere as .safetensors and name that file.") from e
    try:
        return safetensors.torch.load_file(Path(source))
    except (SafetensorError, OSError) as e:
        raise InputError(f"{source} is not a readable safetensors file: {e}.") from e


def _check_fit(architecture: str, source: str, wanted: dict[str, Tensor], got: dict[str, Tensor], classes: int) -> None:
    missing, extra = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
    if missing or extra:
        raise InputError(f"{source} does not fit {architecture}: it lacks {missing[:3] or 'nothing'} and has "
                         f"{extra[:3] or 'nothing'} besides.")
    for name, tensor in wanted.items():
        if tensor.shape != got[name].shape:
            raise InputError(f"{source} does not fit {architecture} with the data's {classes} classes: {name} is "
                             f"{tuple(got[name].shape)}, expected {tuple(tensor.shape)}.")
