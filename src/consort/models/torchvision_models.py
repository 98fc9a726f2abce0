"""Classification networks of torchvision, by its names: efficientnet_b0 ... b7, resnet50, mobilenet_v2, ..."""

from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from consort.errors import InputError, unknown_name

# Input side in pixels where it is not 224: Tan and Le 2019 (arXiv 1905.11946) for EfficientNet, Tan and Le 2021 for V2,
# Szegedy et al. 2015 for Inception v3. (torchvision's own transform crops B2 at 288.)
_INPUT_SIZE = {"efficientnet_b1": 240, "efficientnet_b2": 260, "efficientnet_b3": 300, "efficientnet_b4": 380,
               "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600, "efficientnet_v2_s": 384,
               "efficientnet_v2_m": 480, "efficientnet_v2_l": 480, "inception_v3": 299}
_MANY_OUTPUTS = ("googlenet", "inception_v3")
"""With auxiliary classifiers, which a single forward pass does not use."""


def names() -> list[str]:
    return torchvision.models.list_models(module=torchvision.models)


def answers_to(name: str) -> bool:
    return name in names()


def published(name: str) -> tuple[int, int]:
    return _INPUT_SIZE.get(name, 224), 1000


def build(name: str, classes: int) -> nn.Module:
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in _MANY_OUTPUTS else {}
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options)


def pretrained(name: str, weights_name: str) -> dict[str, Tensor]:
    """Weights by torchvision's name, downloaded by torch.hub and checked against the hash in their file name.

    Raises InputError for an unknown name of weights.
    """
    if not answers_to(name):
        raise InputError(f"torchvision has no weights of {name}: weights must be a .safetensors file, got "
                         f"{weights_name!r}.")
    known = torchvision.models.get_model_weights(name)
    if weights_name not in known.__members__ and weights_name != "DEFAULT":
        raise unknown_name(f"weights of {name}", weights_name, known.__members__)
    weights = known[weights_name]
    return torch.hub.load_state_dict_from_url(weights.url, map_location="cpu", check_hash=True, weights_only=True,
                                              progress=False)
