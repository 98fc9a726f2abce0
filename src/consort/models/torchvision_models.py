"""Classification networks of torchvision, by its names: efficientnet_b0 ... b7, resnet50, mobilenet_v2, ..."""

import re
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from consort.data.preprocessing import Preprocessing
from consort.errors import InputError, unknown_name
from consort.models.names import SCALES_ITS_INPUT

# Input side in pixels where it is not 224: Tan and Le 2019 (arXiv 1905.11946) for EfficientNet, Tan and Le 2021 for V2,
# Szegedy et al. 2015 for Inception v3. (torchvision's own transform crops B2 at 288.)
_INPUT_SIZE = {"efficientnet_b1": 240, "efficientnet_b2": 260, "efficientnet_b3": 300, "efficientnet_b4": 380,
               "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600, "efficientnet_v2_s": 384,
               "efficientnet_v2_m": 480, "efficientnet_v2_l": 480, "inception_v3": 299}
_MANY_OUTPUTS = ("googlenet", "inception_v3")
"""With auxiliary classifiers, which a single forward pass does not use."""
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
_HALF = (0.5, 0.5, 0.5)
"""The mean and deviation that `transform_input` makes of ImageNet's."""
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in DenseNets' published files: norm.1 where the module is norm1 by now."""


def names() -> list[str]:
    return torchvision.models.list_models(module=torchvision.models)


def answers_to(name: str) -> bool:
    return name in names()


def published(name: str) -> tuple[int, int]:
    return _INPUT_SIZE.get(name, 224), 1000


def build(name: str, classes: int) -> nn.Module:
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in _MANY_OUTPUTS else {}
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options)


def preprocessing(name: str, weights_name: str | None) -> Preprocessing:
    """What weights want their images to be; those of the name's first weights where none are named.

    Raises InputError for an unknown name of weights.
    """
    weights = _weights(name, weights_name) if weights_name else next(iter(torchvision.models.get_model_weights(name)))
    wanted: Any = weights.transforms()
    resize, crop = int(wanted.resize_size[0]), int(wanted.crop_size[0])
    mean, std = (_HALF, _HALF) if name in SCALES_ITS_INPUT else (tuple(wanted.mean), tuple(wanted.std))
    return Preprocessing((resize, resize), (crop, crop), "shorter", wanted.interpolation.value, mean, std,
                         source=f"torchvision {name} {weights.name}")


def pretrained(name: str, weights_name: str) -> dict[str, Tensor]:
    """Weights by torchvision's name, downloaded by torch.hub and checked against the hash in their file name.

    Raises InputError for an unknown name of weights.
    """
    return torch.hub.load_state_dict_from_url(_weights(name, weights_name).url, map_location="cpu", check_hash=True,
                                              weights_only=True, progress=False)


def as_built(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published weights under the names of the network that `build` makes, without auxiliary classifiers."""
    if name in _MANY_OUTPUTS:
        state = {key: tensor for key, tensor in state.items() if not key.startswith(_AUXILIARY)}
    if name.startswith("densenet"):
        state = {_OLD_DENSENET.sub(r"\1\2", key): tensor for key, tensor in state.items()}
    return state


def _weights(name: str, weights_name: str) -> Any:
    if not answers_to(name):
        raise InputError(f"torchvision has no weights of {name}: weights must be a .safetensors file, got "
                         f"{weights_name!r}.")
    known = torchvision.models.get_model_weights(name)
    if weights_name not in known.__members__ and weights_name != "DEFAULT":
        raise unknown_name(f"weights of {name}", weights_name, known.__members__)
    return known[weights_name]
