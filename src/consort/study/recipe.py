"""Training recipes: everything about how a member is trained that is part of what it *is*."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consort.errors import unknown_name
from consort.settings import PositiveInt


class Recipe(BaseModel):
    """Hyper-parameters of one training.

    A member's id is a hash over the values that differ from these defaults, so a new field must default to
    "as before"; a default must never change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    epochs: PositiveInt = 200
    batch_size: PositiveInt = 128
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    """Peak learning rate, for the global batch."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Applied to convolution and linear weights only, never to normalisation parameters or biases."""
    schedule: Literal["one-cycle", "step"] = "step"
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """one-cycle: the share of all steps in which the rate rises linearly; it then falls linearly to 0."""
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False)] = (0.3, 0.6, 0.8)
    """step: the shares of all steps after which the rate is multiplied by `decay`."""
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.2
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of an exponential moving average of the weights; 0 is off."""
    ema_warmup: bool = False
    """The average forgets faster while it is young. A study file means true where it names an `ema`: see
    `as_written`."""
    crop_padding: Annotated[int, Field(ge=0)] = 4
    """Reflected border in pixels, of which a random crop of the original size is taken; 0 is off."""
    flip: bool = True
    cutout: Annotated[int, Field(ge=0)] = 0
    """Side in pixels of a random square set to the mean colour; 0 is off."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """auto: bfloat16 where the processor or GPU has it natively and is not clearly slower in it, float32 elsewhere."""
    input_size: Annotated[int, Field(ge=8)] | None = None
    """Side in pixels of the images that the network sees, for image folders that are streamed; by default the
    size that the architecture was published with."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Streamed images: the smallest share of an image that a random resized crop takes."""
    weights: str | None = None
    """Imported members only: the sha256 of the imported weights, or "torchvision:<name>"."""
    transforms: str | None = None
    """Imported members only: whose preparation of images it is, "published" (that of the named weights, or of the
    network's first ones) or a name of weights; None is the data's, as for members that are trained."""

    @model_validator(mode="after")
    def _milestones_rise(self) -> "Recipe":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must rise, got {list(self.milestones)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _no_average_no_warmup(cls, values: Any) -> Any:
        """Two recipes that train the same way are the same recipe."""
        return {**values, "ema_warmup": False} if isinstance(values, dict) and values.get("ema", 0) == 0 else values

    def identity(self) -> dict:
        """The values that differ from the defaults: what a member's id is made of."""
        return self.model_dump(mode="json", exclude_defaults=True)


RECIPES: dict[str, dict] = {
    # Short trainings on a CPU: one-cycle reaches a usable accuracy in a handful of epochs (paper-independent choice,
    # after the public speed-run recipes for CIFAR-10).
    "fast": {"epochs": 10, "schedule": "one-cycle", "learning_rate": 0.2},
    # Minutes of a GPU for the wide residual networks of a whole figure: a batch that is large enough to fill it, and a
    # peak rate that is larger with it. Set by hand; docs/results/cifar10.md has what it reaches.
    "gpu-fast": {"epochs": 20, "batch_size": 512, "schedule": "one-cycle", "learning_rate": 0.5},
    # Zagoruyko and Komodakis 2016, section 3: 200 epochs, rate 0.1 times 0.2 at epochs 60, 120 and 160.
    "wrn-reference": {},
    # ImageNet-sized images: label smoothing and EMA as Tan and Le 2019, section 5.2; Nesterov SGD in place of RMSProp.
    "efficientnet": {"epochs": 90, "batch_size": 256, "schedule": "one-cycle", "warmup": 0.06, "learning_rate": 0.5,
                     "weight_decay": 2e-5, "label_smoothing": 0.1, "ema": 0.9999, "ema_warmup": True},
}


def named_recipe(name: str) -> dict:
    """The values of a named recipe; raises InputError for an unknown name."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return dict(RECIPES[name])


def as_written(values: dict) -> dict:
    """What values of a recipe mean in a study file: an average is warmed up unless the file says otherwise.

    In what is stored, a recipe that says nothing of it is one from before averages were warmed up.
    """
    return {"ema_warmup": True, **values} if values.get("ema") else values
