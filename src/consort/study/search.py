"""[search] of a study file: which candidates there are, how they are judged, what looks for them."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_serializer, model_validator

from consort import samplers
from consort.errors import InputError, unknown_name
from consort.settings import AsList, PositiveInt, Table
from consort.space import networks
from consort.space.choices import GENES, Space, StageChoices
from consort.space.networks import MAX_DEPTH, MAX_EXPANSION, MAX_WIDTH, SKELETONS
from consort.space.objective import Objective
from consort.study.recipe import Recipe

Kind = Literal["single", "uniform", "joint"]
MAX_MEMBERS = 6
"""As many as the mixed ensembles of an evaluation have at most, where the winners are compared in the end."""
FINAL = "-final"
"""What the study of the winners is called after the study that found them."""
MAX_NAME = 40 - len(FINAL)
CONTROL = "random"
RETRAINED = 5
"""So many candidates of every kind are trained a second time, where the study does not say how many."""
SINGLES = 2
"""So many of the best single networks are trained with the winners, where the study does not say how many."""


class SearchObjective(Objective):
    """[search.objective]: what a candidate is rewarded for, and where latencies come from."""

    source: Literal["table", "measured"] = "table"
    """table: the sum of a network's measured blocks; measured: the whole network."""


class SpaceSettings(Table):
    """[search.space]: the choices of each stage. A list is for all stages, a list of lists has one for each."""

    skeleton: Literal["small", "large"] = "small"
    """small: three stages for images of about 32x32; large: seven, for 224x224."""
    block: tuple[tuple[str, ...], ...]
    width: tuple[tuple[int, ...], ...]
    depth: tuple[tuple[int, ...], ...]
    kernel: tuple[tuple[int, ...], ...] = Field(((3,),), validate_default=True)
    expansion: tuple[tuple[int, ...], ...] = Field(((3,),), validate_default=True)
    skip: tuple[tuple[bool, ...], ...] = Field(((True,),), validate_default=True)

    @field_validator(*GENES, mode="before")
    @classmethod
    def _one_list_per_stage(cls, value: Any, info: ValidationInfo) -> Any:
        stages = len(SKELETONS[info.data["skeleton"]].strides) if "skeleton" in info.data else 0
        if not isinstance(value, list | tuple) or not stages:
            return value
        lists = [isinstance(item, list | tuple) for item in value]
        if any(lists) and not all(lists):
            raise ValueError(f"it is one list of choices, or a list of such lists, not a mixture: {list(value)}")
        per_stage = tuple(map(tuple, value)) if any(lists) else (tuple(value),)
        if len(per_stage) not in (1, stages):
            raise ValueError(f"a network of this skeleton has {stages} stages, got choices for {len(per_stage)}")
        return per_stage * (stages // len(per_stage))

    @field_validator(*GENES)
    @classmethod
    def _choices(cls, value: tuple[tuple, ...], info: ValidationInfo) -> tuple[tuple, ...]:
        for number, choices in enumerate(value, 1):
            if not choices:
                raise ValueError(f"the search space is empty: stage {number} has no choice of {info.field_name}")
            if len(set(choices)) != len(choices):
                raise ValueError(f"choices must differ, got {list(choices)} for stage {number}")
            for choice in choices:
                _check_choice(str(info.field_name), choice)
        return value

    def space(self, members: int) -> Space:
        """All multisets of so many networks."""
        stages = tuple(StageChoices(*choices) for choices in
                       zip(self.block, self.width, self.depth, self.kernel, self.expansion, self.skip, strict=True))
        return Space(self.skeleton, stages, members)


def _check_choice(gene: str, choice: Any) -> None:
    limits = {"width": MAX_WIDTH, "depth": MAX_DEPTH, "expansion": MAX_EXPANSION}
    if gene in limits and not 1 <= choice <= limits[gene]:
        raise ValueError(f"a {gene} is 1 to {limits[gene]}, got {choice}")
    if gene == "kernel" and choice not in networks.KERNELS:
        raise ValueError(f"a kernel is one of {', '.join(map(str, networks.KERNELS))}, got {choice}")
    if gene == "block" and choice not in networks.BLOCKS:
        raise ValueError(str(unknown_name("block", choice, networks.BLOCKS)).removesuffix("."))


class Final(Table):
    """[search.final]: how winners are named; and trained again, with the study's own recipe and new seeds."""

    retrain: Annotated[int | None, Field(ge=0, le=100)] = None
    """So many candidates of every kind, those of the highest rewards, are trained a second time before its winner is
    named; by default RETRAINED, or a third of the trials of an arm where that is fewer, or none where that is one."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """Of every network of a winner; at least as many as its ensemble has copies of it, and as a joint winner has
    members: it is compared with as many copies of each."""
    singles: Annotated[int | None, Field(ge=0, le=100)] = None
    """So many of the networks of all trials, the best alone on validation, are trained beside the winners; by default
    SINGLES."""


class Search(Table):
    """[search]. `parallel` and `max_failures` say how it is executed; all else is what is asked."""

    kinds: Annotated[tuple[Kind, ...], AsList] = ("single", "uniform", "joint")
    """What candidates are: single networks, one network in several copies, networks chosen together."""
    members: Annotated[int, Field(ge=2, le=MAX_MEMBERS)] = 3
    """Of uniform and joint candidates."""
    sampler: str = "evolution"
    settings: dict[str, float | int | str] = Field(default_factory=dict)
    """Of the sampler."""
    control: bool = True
    """The same number of trials again by random sampling."""
    trials: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Of every kind and sampler."""
    parallel: PositiveInt | None = None
    """Trials at a time; by default one per core, or `[run] members_per_gpu` per GPU."""
    seed: Annotated[int, Field(ge=0)] = 0
    max_failures: PositiveInt = 5
    """The search ends when so many trials have failed."""
    median_stopping: bool = False
    """Stop trainings that are behind the median of the others."""
    objective: SearchObjective
    space_settings: SpaceSettings = Field(alias="space")
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Values of the trials' recipe that differ from the study's."""
    final: Final = Final()

    @field_validator("kinds")
    @classmethod
    def _kinds_differ(cls, value: tuple) -> tuple:
        if not value or len(set(value)) != len(value):
            raise ValueError(f"kinds names one or more of single, uniform and joint, once each, got {list(value)}")
        return value

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        if value not in samplers.NAMES:
            raise ValueError(str(unknown_name("sampler", value, samplers.NAMES)).removesuffix("."))
        return value

    @model_validator(mode="after")
    def _settings_in_range(self) -> "Search":
        try:
            samplers.check_settings(self.sampler, self.settings)
        except InputError as e:
            raise ValueError(f"settings: {str(e).removesuffix('.')}") from e
        return self

    @model_serializer(mode="wrap")
    def _under_its_key(self, serialize: Callable) -> dict:
        """`space_settings` under its name in the study file; `space` is a method here."""
        return {"space" if key == "space_settings" else key: value for key, value in serialize(self).items()}

    def arms(self, sampler: str | None = None) -> list[tuple[str, str, bool]]:
        """(kind, sampler, whether it is the control) of every arm: for each kind the sampler, and random sampling as a
        control where that is another one. sampler: another than the study's."""
        chosen = sampler or self.sampler
        controls = [(CONTROL, True)] if self.control and chosen != CONTROL else []
        return [(kind, *arm) for kind in self.kinds for arm in ((chosen, False), *controls)]

    @property
    def retrained(self) -> int:
        """How many candidates of every kind are trained a second time."""
        if self.final.retrain is not None:
            return self.final.retrain
        number = min(RETRAINED, self.trials // 3)
        return number if number > 1 else 0

    @property
    def singles(self) -> int:
        """How many of the best single networks are trained with the winners."""
        return SINGLES if self.final.singles is None else self.final.singles

    def size(self, kind: str) -> int:
        """Members of a candidate of this kind."""
        return 1 if kind == "single" else self.members

    def space(self, kind: str) -> Space:
        """What a sampler chooses from: one network for single and uniform candidates, several for joint ones."""
        return self.space_settings.space(self.members if kind == "joint" else 1)

    def networks_of(self, kind: str, encoding: tuple[int, ...]) -> tuple[str, ...]:
        """The networks of a candidate, one per member."""
        decoded = self.space(kind).decode(encoding)
        return decoded * self.members if kind == "uniform" else decoded

    def trial_recipe(self, recipe: Recipe) -> Recipe:
        """The study's recipe with the search's own values in place."""
        return Recipe.model_validate({**recipe.model_dump(), **self.recipe}) if self.recipe else recipe
