"""Weights that exist already become members without training."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from consort import hardware, members
from consort.costs.macs import build_without_weights, count
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.input_size import network_input
from consort.models.published import preprocessing_of
from consort.plurals import counted
from consort.store import Store


def import_member(store: Store, spec: MemberSpec, data: Prepared, source: str) -> MemberRecord:
    """Write a member whose weights come from `source`: a safetensors file, or torchvision's name of weights.

    Its logits are written by the predict step. Raises InputError where the weights do not fit the architecture.
    """
    done = members.read_record(store, spec.id)
    if done is not None:
        return done
    own = preprocessing_of(spec)
    state = _load(spec.architecture, source)
    wanted = build_without_weights(spec.architecture, len(data.classes)).state_dict()
    state = _as_built(spec.architecture, wanted, state)
    _check_fit(spec.architecture, source, wanted, state, len(data.classes))
    files = members.write_files(store, spec.id, {"weights.safetensors": safetensors.torch.save(state)})
    cost = count(spec.architecture, network_input(spec, data), len(data.classes))
    record = MemberRecord(
        id=spec.id, architecture=spec.architecture, data=spec.data, recipe=spec.recipe.model_dump(mode="json"),
        seed=spec.seed, files=files, macs=cost.macs, params=cost.params, input=cost.input, val_accuracy=None,
        precision=compute.choose(spec.recipe.precision).precision, imported=True,
        preprocessing=own.to_dict() if own else None, hardware=hardware.describe(),
        versions=hardware.versions(), finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
    members.write_record(store, record)
    return record


def check_file(architecture: str, source: str, classes: int) -> None:
    """Raises InputError where a safetensors file does not fit the network; reads names and shapes only."""
    wanted = build_without_weights(architecture, classes).state_dict()
    try:
        with safe_open(source, "pt") as file:
            shapes = {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in list(file.keys())}
    except (SafetensorError, OSError) as e:
        raise InputError(f"{source} is not a readable safetensors file: {e}.") from e
    _check_fit(architecture, source, wanted, _as_built(architecture, wanted, shapes), classes)


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


def _as_built(architecture: str, wanted: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of the network as it is built here, without what no prediction reads."""
    if not architecture.startswith("timm:"):
        from consort.models.torchvision_models import answers_to, as_built

        state = as_built(architecture, state) if answers_to(architecture) else state
    # Batches that were seen in training: files from before torch 0.4.1 and ports from elsewhere do not count them.
    counters = {name: torch.zeros_like(tensor, device="cpu") for name, tensor in wanted.items()
                if name.endswith("num_batches_tracked") and name not in state}
    return {**state, **counters}


def _wrapped(wanted: Collection[str], extra: Sequence[str]) -> str:
    """What to do where every name that is too many is one that is wanted, behind what a wrapper put in front."""
    front = {name.partition(".")[0] for name in extra}
    if len(front) != 1 or not all(name.partition(".")[2] in wanted for name in extra):
        return ""
    return (f" All of these names begin with '{front.pop()}.', as a wrapper such as DataParallel or torch.compile "
            "names them: take that away from the names, and save the file again.")


def _check_fit(architecture: str, source: str, wanted: dict[str, Tensor], got: dict[str, Tensor], classes: int) -> None:
    missing, extra = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
    if missing or extra:
        raise InputError(f"{source} does not fit {architecture}: it lacks {missing[:3] or 'nothing'} and has "
                         f"{extra[:3] or 'nothing'} besides.{_wrapped(wanted.keys(), extra)}")
    for name, tensor in wanted.items():
        if tensor.shape != got[name].shape:
            raise InputError(f"{source} does not fit {architecture} with the data's {counted(classes, 'class')}: "
                             f"{name} is "
                             f"{tuple(got[name].shape)}, expected {tuple(tensor.shape)}.")
