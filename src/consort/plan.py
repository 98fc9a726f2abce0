"""Plan a study: prepare its data, check its architectures, and leave every member's specification in the store.

Torch is imported only to check a name that is not a wide residual network's, and only where it is installed.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from consort import architectures, members
from consort.data.prepare import prepare, prepare_test_set
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.recipes import Recipe
from consort.records import canonical_json, sha256
from consort.store import Store
from consort.study import MemberSpec, Study

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """What a run of a study will do."""

    study: Study
    run: str
    """Name of the run: the same study on the same data is the same run."""
    data: Prepared
    also: dict[str, Prepared]
    specs: list[MemberSpec]
    weights: dict[str, str]
    """Member id -> weights to import instead of training: a file's path, or torchvision's name."""


def plan(store: Store, study: Study, base: Path, cache: Path, progress: Progress = lambda done, total: None) -> Plan:
    """Prepare and check everything that members need; `base` is where the study's relative paths start."""
    for name in study.architectures:
        _check_architecture(name)
    data = prepare(store, study.data, base, cache, progress)
    also = {extra.name: prepare_test_set(store, extra.name, extra.source, data, study.data, base, cache, progress)
            for extra in study.data.also}
    specs, weights = [], {}
    for name, architecture in study.architectures.items():
        recipe = study.recipe_of(name)
        if architecture.weights:
            source = weights_source(architecture.weights, base)
            recipe = imported_recipe(source, recipe)
        for seed in architecture.seeds:
            spec = MemberSpec(name, data.fingerprint, recipe, seed)
            specs.append(spec)
            if architecture.weights:
                weights[spec.id] = source
    for spec in specs:
        members.write_spec(store, spec)
    return Plan(study, run_name(study, [data, *also.values()]), data, also, specs, weights)


def run_name(study: Study, data: Sequence[Prepared]) -> str:
    """A hash of the question and the data; where the data lay and how the study is executed do not count."""
    question = study.model_dump(mode="json", exclude={"run": True, "data": True})
    names = [extra.name for extra in study.data.also]
    return sha256(canonical_json([question, names, [d.fingerprint for d in data]]).encode())[:10]


def imported_recipe(source: str, recipe: Recipe) -> Recipe:
    """What of a recipe matters for weights that exist: nothing about training."""
    return Recipe(weights=weights_identity(source), input_size=recipe.input_size, precision=recipe.precision)


def weights_identity(source: str) -> str:
    """What stands for imported weights in a member's identity: the file's sha256, or torchvision's name."""
    if not source.endswith(".safetensors"):
        return f"torchvision:{source}"
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_source(weights: str, base: Path) -> str:
    """The path of a weights file, checked to exist, or torchvision's name as it is."""
    if not weights.endswith(".safetensors"):
        return weights
    path = base / Path(weights).expanduser()
    if not path.is_file():
        raise InputError(f"the weights {path} do not exist. weights is a .safetensors file (relative to the study "
                         "file) or the name of torchvision weights such as IMAGENET1K_V1.")
    return str(path)


def _check_architecture(name: str) -> None:
    if architectures.wide_resnet(name) is None and importlib.util.find_spec("torch"):
        from consort.models import check_name  # torch takes seconds to import, and evaluating images lack it

        check_name(name)
