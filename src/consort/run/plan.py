"""Plan a study: prepare its data, check its architectures, and leave in the store what its members are.

The plan itself stays there too: a step that sees only the store opens it again, without study file or data source.
Torch is imported only to check a name that is not a wide residual network's, and only where it is installed.
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from consort import members
from consort.data.prepare import prepare, prepare_test_set
from consort.data.prepared import Prepared, open_prepared
from consort.documents import canonical_json, sha256
from consort.errors import InputError, IntegrityError, MissingKey, unknown_name
from consort.members.spec import MemberSpec
from consort.models.names import SCALES_ITS_INPUT, wide_resnet
from consort.run.checks import check_members
from consort.space import networks
from consort.store import Store, keys
from consort.store.files import expanded
from consort.study.answer import Answer
from consort.study.explain import explained_at
from consort.study.file import Study, stored_study
from consort.study.recipe import Recipe

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
    study_text: str = ""
    """The study file, as it was written."""

    @property
    def ref(self) -> str:
        """NAME/RUN: what commands take in place of the study file."""
        return f"{self.study.name}/{self.run}"


def plan(store: Store, study: Study, base: Path, cache: Path, progress: Progress = lambda done, total: None,
         study_text: str = "") -> Plan:
    """Prepare and check everything that members need; `base` is where the study's relative paths start."""
    for name in study.architectures:
        _check_architecture(name)
    sources = {name: weights_source(architecture.weights, base)
               for name, architecture in study.architectures.items() if architecture.weights}
    data = prepare(store, study.data, base, cache, progress)
    also = {extra.name: prepare_test_set(store, extra.name, extra.source, data, study.data, base, cache, progress)
            for extra in study.data.also}
    imported = {name: _imported(study, name, source, data) for name, source in sources.items()}
    weights = {spec.id: sources[name] for name, spec in imported.items()}
    specs = _specs(study, data, imported)
    check_members(store, specs, weights, data, cache)
    return _written(store, Plan(study, run_name(study, [data, *also.values()]), data, also, specs, weights,
                                study_text))


def replan(store: Store, planned: Plan, study: Study, study_text: str) -> Plan:
    """Plan a study that differs in its seeds, on the data that is prepared already."""
    imported = {s.architecture: s for s in planned.specs if s.id in planned.weights}
    data = [planned.data, *planned.also.values()]
    return _written(store, Plan(study, run_name(study, data), planned.data, planned.also,
                                _specs(study, planned.data, imported), planned.weights, study_text))


def open_plan(store: Store, ref: str, cache: Path) -> Plan:
    """The planned run NAME/RUN, from the store alone; raises MissingKey listing the nearest runs where it is none."""
    key = keys.study_plan(ref)
    if ref not in (known := planned_runs(store)):
        raise MissingKey(str(unknown_name("run", ref, known, f"Runs of the store {store.uri} are NAME/RUN, as `consort "
                                                             "plan STUDY --json` prints them.")))
    try:
        values = json.loads(store.read(key))
        study = stored_study(values["study"])
        data = open_prepared(store, values["data"], cache)
        also = {name: open_prepared(store, fingerprint, cache) for name, fingerprint in values["also"].items()}
        weights, study_text = dict(values["weights"]), str(values["study_text"])
    except ValidationError as e:
        raise IntegrityError(f"{key} is not a plan that this version of Consort reads ({explained_at((), e, Study)}) "
                             "Was it made by a newer version? Use that one, or plan the study again (`consort plan`)."
                             ) from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise IntegrityError(f"{key} is not a plan that this version of Consort reads: {e}. Plan the study again "
                             "(`consort plan`).") from e
    imported = {spec.architecture: spec for spec in (members.read_spec(store, member) for member in weights)}
    return Plan(study, values["run"], data, also, _specs(study, data, imported), weights, study_text)


def planned_runs(store: Store) -> list[str]:
    """NAME/RUN of every run that was planned in this store."""
    return [key.split("/", 1)[1].removesuffix("/plan.json") for key in store.list(keys.STUDIES)
            if key.endswith("/plan.json")]


def _specs(study: Study, data: Prepared, imported: Mapping[str, MemberSpec]) -> list[MemberSpec]:
    """Every member in the order of the study file; imported ones are what they were when their weights were read."""
    specs = []
    for name, architecture in study.architectures.items():
        recipe = study.recipe_of(name)
        specs += [imported[name]] if name in imported else [MemberSpec(name, data.fingerprint, recipe, seed)
                                                             for seed in architecture.seeds]
    return specs


def _written(store: Store, planned: Plan) -> Plan:
    """Write the specifications, then the plan: what it names is there."""
    members.write_specs(store, planned.specs)
    values = {"study": planned.study.model_dump(mode="json"), "run": planned.run, "data": planned.data.fingerprint,
              "also": {name: data.fingerprint for name, data in planned.also.items()}, "weights": planned.weights,
              "study_text": planned.study_text}
    key, data = keys.study_plan(planned.ref), (json.dumps(values, indent=1) + "\n").encode()
    if not store.exists(key) or store.read(key) != data:  # a store that may only be read can be asked by a study file
        store.write(key, data)
    return planned


def run_name(study: Study, data: Sequence[Prepared]) -> str:
    """A hash of the question and the data; where the data lay and how the study is executed do not count."""
    question = study.model_dump(mode="json", exclude={"run": True, "cluster": True, "grow": True, "data": True,
                                                      "search": {"parallel": True, "max_failures": True}})
    question["latency"] = study.latency.identity()
    if study.search is None:
        del question["search"]  # the name of a study without one stays what it was before there were searches
    else:
        final = question["search"]["final"]
        del final["retrain"]  # the trials are the same, and a search may go on with another number
        if not final["singles"]:
            del final["singles"]  # in the same way
    if not study.recipe.ema_warmup:
        del question["recipe"]["ema_warmup"]  # in the same way
    if study.answer == Answer():
        del question["answer"]  # as before there was such a table
    for values in (question["recipe"], *question["architectures"].values()):
        if values["transforms"] is None:
            del values["transforms"]
    names = [extra.name for extra in study.data.also]
    return sha256(canonical_json([question, names, [d.fingerprint for d in data]]).encode())[:10]


def _imported(study: Study, name: str, source: str, data: Prepared) -> MemberSpec:
    architecture = study.architectures[name]
    transforms = transforms_of(name, source, architecture.transforms, data)
    recipe = imported_recipe(source, study.recipe_of(name), transforms)
    return MemberSpec(name, data.fingerprint, recipe, architecture.seeds[0])


def imported_recipe(source: str, recipe: Recipe, transforms: str | None) -> Recipe:
    """What of a recipe matters for weights that exist: nothing about training."""
    return Recipe(weights=weights_identity(source), input_size=recipe.input_size, precision=recipe.precision,
                  transforms=transforms)


def transforms_of(name: str, source: str, wish: str | None, data: Prepared) -> str | None:
    """Whose preparation of images imported weights get: Recipe.transforms.

    A file says nothing of where it comes from. Where images are streamed, it is taken for published weights or ones
    that were tuned from them; small images that are arrays are seen as they are.
    """
    if wish is not None:
        return None if wish == "data" else wish
    if not source.endswith(".safetensors"):
        return "published"
    if data.manifest.layout == "arrays" or wide_resnet(name) is not None or networks.is_name(name):
        return None
    return "scaled" if name in SCALES_ITS_INPUT else "published"


def weights_identity(source: str) -> str:
    """What stands for imported weights in a member's identity: the file's sha256, or torchvision's name."""
    if not source.endswith(".safetensors"):
        return f"torchvision:{source}"
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl")


def weights_source(weights: str, base: Path) -> str:
    """The path of a weights file, checked to exist, or torchvision's name as it is."""
    if weights.endswith(PICKLED):
        raise InputError(_how_to_convert(weights))
    if not weights.endswith(".safetensors"):
        return weights
    path = base / expanded(weights)
    if not path.is_file():
        raise InputError(f"the weights {path} do not exist. weights is a .safetensors file (relative to the study "
                         "file) or the name of torchvision weights such as IMAGENET1K_V1.")
    return str(path)


def _how_to_convert(weights: str) -> str:
    to = Path(weights).with_suffix(".safetensors").as_posix()
    return (f"weights {weights}: pickled files can run code when they are read, so weights are read from .safetensors "
            "files. Convert it once (this reads tensors only):\n"
            f"""  python -c "import torch, safetensors.torch as s; w = torch.load({weights!r}, map_location='cpu', """
            "weights_only=True); w = w.get('state_dict', w.get('model', w)); s.save_file({k: v.clone().contiguous() "
            f"""for k, v in w.items()}}, {to!r})"\nand name {to} in its place.""")


def _check_architecture(name: str) -> None:
    if wide_resnet(name) is None and importlib.util.find_spec("torch"):
        from consort.models.families import check_name  # torch takes seconds to import, and evaluating images lack it

        check_name(name)
