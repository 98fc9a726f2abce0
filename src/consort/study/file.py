"""The study file: one TOML file, one question. Read, checked and expanded into members here."""

import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from consort.documents import to_toml
from consort.errors import InputError, near_names
from consort.settings import STORED, AsList, Table
from consort.study.answer import Answer
from consort.study.data import Data, Name
from consort.study.evaluation import Evaluate, Latency
from consort.study.execution import MAX_SEEDS, Cluster, Grow, RunSettings
from consort.study.explain import explain, explained_at
from consort.study.recipe import Recipe, as_written, named_recipe
from consort.study.search import MAX_NAME, Search

Seed = Annotated[int, Field(ge=0, le=9_999_999)]
"""Bounded so that ids stay short and a seed and a step number fit into torch's 64 bits."""


class Architecture(Table):
    """A row of [architectures]: `"wrn-16-1" = 4`, `= [0, 1]`, or a table with these keys."""

    seeds: Annotated[tuple[Seed, ...], AsList] = (0,)
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Values that differ from the study's recipe for this architecture."""
    weights: str | None = None
    """Import instead of training: a safetensors file, or the name of torchvision weights such as IMAGENET1K_V1."""
    transforms: str | None = None
    """How imported weights want images: "published", a name of torchvision's weights, a tag of timm's, or "data" as for
    members that are trained. By default published for named weights, and for a file where images are streamed."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, int | list):
            value = {"seeds": value}
        if isinstance(value, dict) and type(value.get("seeds")) is int:  # true and false are no numbers of seeds
            count = value["seeds"]
            if not 1 <= count <= MAX_SEEDS:
                raise ValueError(f"an architecture has 1 to {MAX_SEEDS} seeds, got {count}")
            value = {**value, "seeds": list(range(count))}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Architecture":
        repeated = sorted(seed for seed, times in Counter(self.seeds).items() if times > 1)
        if repeated:
            raise ValueError(f"seeds must differ, {repeated} stand more than once: two members of one seed are one "
                             "member")
        if not self.seeds:
            raise ValueError("an architecture needs at least 1 seed, got an empty list")
        if {"weights", "transforms"} & self.recipe.keys():
            raise ValueError("weights are imported with the keys beside recipe, not inside it")
        if self.transforms and not self.weights:
            raise ValueError("transforms are those of imported weights: they stand beside weights")
        if self.weights and len(self.seeds) > 1:
            raise ValueError(f"imported weights are one member, got {len(self.seeds)} seeds")
        return self


class Study(Table):
    """One question: which images, which networks, how they are trained and compared. `of` makes one."""

    name: Name
    question: str = ""
    """What this study asks, in words; it heads the report."""
    data: Data
    recipe: Recipe
    architectures: dict[str, Architecture]
    evaluate: Evaluate = Evaluate()
    answer: Answer = Answer()
    latency: Latency = Latency()
    run: RunSettings = RunSettings()
    cluster: Cluster = Cluster()
    grow: Grow | None = None
    search: Search | None = None

    @model_validator(mode="before")
    @classmethod
    def _resolve_recipe(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("recipe", {}), dict):
            overrides = dict(values.get("recipe", {}))
            name = overrides.pop("name", "fast")
            if not isinstance(name, str):
                raise InputError(f"[recipe] name: it should be the name of a recipe in quotes, got {name!r}.")
            if {"weights", "transforms"} & overrides.keys():
                raise InputError('[recipe] weights: imported weights stand in [architectures], such as "resnet18" = { '
                                 'weights = "file.safetensors" }.')
            base = named_recipe(name)
            values = {**values, "recipe": {**base, **overrides}}
            if values.get("search") is not None:
                values = {"architectures": {}, **values}
            elif values.get("architectures") == {}:
                raise InputError("[architectures]: a study needs at least one architecture, for example "
                                 '"wrn-16-1" = 4, or a [search].')
        return values

    @field_validator("search")
    @classmethod
    def _room_for_final(cls, value: Search | None, info: ValidationInfo) -> Search | None:
        if value is not None and len(name := info.data.get("name", "")) > MAX_NAME:
            raise ValueError(f"the name of a study that searches has at most {MAX_NAME} characters, since its winners "
                             f"are compared in a study {name}-final, got {len(name)}")
        return value

    @model_validator(mode="after")
    def _recipes_of_architectures(self) -> "Study":
        for name in self.architectures:
            try:
                self.recipe_of(name)
            except ValidationError as e:
                place = ("architectures", name, "recipe")
                raise explained_at(place, e, Study) from e
        if self.search is not None:
            try:
                self.search.trial_recipe(self.recipe)
            except ValidationError as e:
                raise explained_at(("search", "recipe"), e, Study) from e
        return self

    @model_validator(mode="after")
    def _processes_share_batches(self) -> "Study":
        processes = self.cluster.nodes * self.cluster.processes
        for name, architecture in self.architectures.items():
            if not architecture.weights and (batch := self.recipe_of(name).batch_size) % processes:
                raise ValueError("all processes of all nodes of [cluster] take equal parts of a batch: batch_size must "
                                 f"be a multiple of nodes x processes, got {batch} for {name} and {processes}")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Study":
        """A study from what its file would hold, such as {"name": "mine", "data": {"source": "digits"},
        "architectures": {"wrn-10-1": 4}}; docs/study.md has every key. Raises InputError naming the key, the rule and
        the value."""
        return _checked(values, "the study")

    def to_toml(self) -> str:
        """The study as a file that reads as the same study."""
        warmup = {"ema_warmup": self.recipe.ema_warmup} if self.recipe.ema else {}
        return to_toml({**self.model_dump(mode="json", exclude_defaults=True),
                        "recipe": {"name": "wrn-reference", **warmup, **self.recipe.identity()}})

    def with_sampler(self, sampler: str) -> "Study":
        """The same study, searching with another sampler at its default settings; InputError for an unknown one."""
        assert self.search is not None
        values = {**self.search.model_dump(mode="json"), "sampler": sampler, "settings": {}}
        try:
            return self.model_copy(update={"search": Search.model_validate(values)})
        except ValidationError as e:
            raise explained_at(("search",), e, Study) from e

    def recipe_of(self, architecture: str) -> Recipe:
        """The study's recipe with this architecture's own values in place."""
        overrides = self.architectures[architecture].recipe
        return Recipe.model_validate({**self.recipe.model_dump(), **overrides}) if overrides else self.recipe


def load_study(path: Path) -> Study:
    """Read a study file. Raises InputError naming the file, the key, the rule and the value."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
    except FileNotFoundError as e:
        near = near_names(path.stem, (other.stem for other in path.parent.glob("*.toml")))
        meant = f"Did you mean {', '.join(str(path.with_name(f'{name}.toml')) for name in near)}? " if near else ""
        raise InputError(f"the study file {path} cannot be read: there is none. {meant}`consort init` writes one to "
                         "start from; a run that is in the store is named NAME/RUN, as `consort list` shows it.") from e
    except IsADirectoryError as e:
        raise InputError(f"the study file {path} cannot be read: it is a folder. Of a folder of images `consort init "
                         f"my-study.toml --data {path}` writes a study that fits.") from e
    except (OSError, ValueError) as e:
        raise InputError(f"the study file {path} cannot be read: {e}. `consort init` writes one to start from.") from e
    return parse_study(text, str(path))


def stored_study(values: dict) -> Study:
    """A study from its stored form, whose recipe has every value. What a search that was planned before there were such
    keys does in the end stays what it was."""
    recipe = {"ema_warmup": False, **values["recipe"]}
    recipe = {key: value for key, value in recipe.items() if key not in ("weights", "transforms")}
    if values.get("search") is not None:
        final = {"retrain": 0, "singles": 0, **values["search"]["final"]}
        values = {**values, "search": {**values["search"], "final": final}}
    return Study.model_validate({**values, "recipe": {"name": "wrn-reference", **recipe}}, context=STORED)


def parse_study(text: str, where: str) -> Study:
    """Parse the text of a study file; `where` names it in errors."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as e:  # beside syntax: numbers of thousands of digits, endless nesting
        raise InputError(f"{where} is not valid TOML: {e}.") from e
    return _checked(values, where)


def _checked(values: Mapping[str, Any], where: str) -> Study:
    """The study that these values of a study file say."""
    if _has_huge_number(values):
        raise InputError(f"{where}: a whole number must fit into 64 bits, as TOML has it.")
    try:
        return Study.model_validate(_meant(values))
    except ValidationError as e:
        lines = [explain(error, Study) for error in e.errors()]
        raise InputError("\n".join(f"{where}: {line}" for line in lines)) from e
    except InputError as e:
        raise InputError("\n".join(f"{where}: {line}" for line in str(e).splitlines())) from e


def _meant(values: Mapping[str, Any]) -> dict:
    """The values of a study file, every recipe in it as it is meant there."""
    return {key: value if not isinstance(value, dict) else as_written(value) if key == "recipe" else _meant(value)
            for key, value in values.items()}


def _has_huge_number(value: Any) -> bool:
    if isinstance(value, Mapping | list):
        return any(map(_has_huge_number, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, int) and not -2**63 <= value < 2**63
