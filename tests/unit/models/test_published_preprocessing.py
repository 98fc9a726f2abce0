"""Images as published weights want them: pixel for pixel what torchvision and timm make of real pictures."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import timm
import torch
import torchvision
from PIL import Image

from consort.data.preprocessing import Preprocessing
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.models import timm_models, torchvision_models
from consort.models.published import preprocessing_of
from consort.study.recipe import Recipe

PICTURES = [Image.open(path).convert("RGB") for path in
            sorted(Path(sklearn.datasets.__file__).parent.glob("images/*.jpg"))]
"""Two photographs of 427x640 pixels."""
ALTERED = [PICTURES[0].crop((10, 20, 333, 421)), PICTURES[1].resize((97, 61)), PICTURES[1].crop((0, 0, 640, 33))]
"""Upright, small, and a strip."""


def normalised(how: Preprocessing, picture: Image.Image) -> np.ndarray:
    pixels = how.pixels(np.asarray(picture)).astype(np.float64) / 255
    return ((pixels - how.mean) / how.std).transpose(2, 0, 1)


def assert_same(how: Preprocessing, picture: Image.Image, published: torch.Tensor) -> None:
    ours = normalised(how, picture)
    assert ours.shape == tuple(published.shape)
    # An eighth of a level of grey: other pixels would differ by a whole one.
    assert np.abs(ours - published.numpy()).max() < 1 / (8 * 255 * max(how.std)) + 1e-5 / min(how.std)


def torchvision_weights() -> dict[str, tuple[str, object]]:
    """One set of weights of each kind of transforms that torchvision has."""
    kinds = {}
    for name in torchvision_models.names():
        for weights in torchvision.models.get_model_weights(name):
            kinds.setdefault((repr(weights.transforms()), "inception" in name or name == "googlenet"), (name, weights))
    return {f"{name} {weights.name}": (name, weights) for name, weights in kinds.values()}


@pytest.mark.parametrize("kind", torchvision_weights())
def test_pixels_are_those_of_torchvision(kind):
    name, weights = torchvision_weights()[kind]
    how, transforms = torchvision_models.preprocessing(name, weights.name), weights.transforms()
    network = torchvision.models.get_model(name, init_weights=False, transform_input=True) \
        if name in ("inception_v3", "googlenet") else None
    for picture in PICTURES + ALTERED:
        wanted = transforms(picture)
        if network is not None:  # what these do to their input first
            wanted = network._transform_input(wanted[None])[0]
        assert_same(how, picture, wanted)


def timm_configurations() -> dict[str, dict]:
    """One set of weights of each kind of data configuration that timm has."""
    kinds = {}
    for name in timm.list_pretrained():
        config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
        side = "square" if config["input_size"][1] == config["input_size"][2] else "oblong"
        kinds.setdefault((side, config["crop_mode"], config["interpolation"], config["crop_pct"] == 1.0,
                          config["mean"][0] in (0, 0.5)), (name, config))
    return dict(kinds.values())


@pytest.mark.parametrize("name", timm_configurations())
def test_pixels_are_those_of_timm(name):
    how = timm_models.preprocessing(f"timm:{name.split('.')[0]}", name.split(".", 1)[1])
    transforms = timm.data.create_transform(**timm_configurations()[name], is_training=False)
    for picture in PICTURES + ALTERED:
        assert_same(how, picture, transforms(picture))


@pytest.mark.parametrize("kind", ["resnet50 IMAGENET1K_V2", "timm:resnet18 a1_in1k"])
def test_a_description_is_plain_values(kind):
    name, weights = kind.split()
    family = timm_models if name.startswith("timm:") else torchvision_models
    how = family.preprocessing(name, weights)
    assert how.source == f"torchvision {kind}" or how.source == "timm resnet18.a1_in1k"
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in how.to_dict().items()}
    assert Preprocessing.from_dict(listed) == how


def spec(name: str, **recipe) -> MemberSpec:
    return MemberSpec(name, "0" * 12, Recipe(**recipe), 0)


def test_whose_preprocessing_it_is():
    named = preprocessing_of(spec("resnet50", weights="torchvision:IMAGENET1K_V2", transforms="published"))
    assert named is not None and named.resize == (232, 232)
    of_a_file = preprocessing_of(spec("resnet50", weights="0" * 64, transforms="published"))
    assert of_a_file is not None and of_a_file.source == "torchvision resnet50 IMAGENET1K_V1"
    chosen = preprocessing_of(spec("resnet50", weights="0" * 64, transforms="IMAGENET1K_V2"))
    assert chosen == named
    assert preprocessing_of(spec("resnet50", weights="0" * 64)) is None
    assert preprocessing_of(spec("timm:resnet18", weights="0" * 64, transforms="published")) is not None


def test_another_input_size_keeps_the_share_that_is_cut_off():
    how = preprocessing_of(spec("resnet50", weights="torchvision:IMAGENET1K_V1", transforms="published",
                                input_size=112))
    assert how is not None and (how.resize, how.crop) == ((128, 128), (112, 112))


@pytest.mark.parametrize(("name", "transforms", "words"), [
    ("wrn-10-1", "published", "no published weights.*data"), ("resnet50", "V3", "unknown weights of resnet50 'V3'"),
    ("timm:resnet18", "a9_in1k", "unknown weights of timm:resnet18 'a9_in1k'.*a1_in1k"),
    ("timm:resnet10t", "published", None), ("timm:vit_base_patch8_224", "none", "unknown weights")])
def test_what_says_nothing_of_its_images_is_refused(name, transforms, words):
    asked = spec(name, weights="0" * 64, transforms=transforms)
    if words is None:
        assert preprocessing_of(asked) is not None
        return
    with pytest.raises(InputError, match=words):
        preprocessing_of(asked)


def test_a_network_without_published_weights_is_told_of_the_name_that_was_given():
    asked = spec("wrn-10-1", weights="torchvision:DEFAULT", transforms="published")
    with pytest.raises(InputError, match=r"wrn-10-1 has no published weights, got weights = 'DEFAULT'\. Name a"):
        preprocessing_of(asked)


def test_every_network_of_torchvision_says_how_its_images_are_prepared():
    assert all(torchvision_models.preprocessing(name, None).crop for name in torchvision_models.names())
