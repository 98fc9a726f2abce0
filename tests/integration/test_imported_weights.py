"""Weights from elsewhere give the logits that their own library gives, from real pictures."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import sklearn.datasets
import timm
import torch
import torchvision
from PIL import Image
from small_members import World, consort
from torch import nn

from consort import members
from consort.data.decode import decode
from consort.data.prepare import prepare
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.models.families import build
from consort.run.plan import imported_recipe, transforms_of
from consort.store import open_store
from consort.study.data import Data
from consort.study.recipe import Recipe
from consort.train.imported_weights import check_file, import_member
from consort.train.prediction import predict

PICTURES = sorted(Path(sklearn.datasets.__file__).parent.glob("images/*.jpg"))


def photos(folder: Path, shorter: int) -> Path:
    """Cuttings of two photographs, one class each; PNG, so that every reader sees the same pixels."""
    for label, file in enumerate(PICTURES):
        picture = Image.open(file).convert("RGB")
        for split, count in (("train", 5), ("test", 3)):
            for number in range(count):
                left, top = 12 * number, 9 * number + 20 * (split == "test")
                cutting = picture.crop((left, top, left + 500, top + 375))
                if shorter < 224:
                    cutting = cutting.crop((0, 0, 375, 375))
                target = folder / split / f"{label}" / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                size = (shorter, shorter) if shorter < 224 else (shorter * 4 // 3, shorter)
                cutting.resize(size, Image.Resampling.BICUBIC).save(target)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("large"), 375)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("small"), 96)


def prepared(folder: Path, place: Path) -> Prepared:
    return prepare(open_store(str(place / "store")), Data(source=str(folder), val_images=2), Path(), place / "cache")


def made_lively(network: nn.Module, transforms: Any, folder: Path) -> nn.Module:
    """With the running statistics of images, as a trained network has: one that is new gives the same to all."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.stack([transforms(Image.open(file)) for file in files_of(folder)]))
    return network.eval()


def files_of(folder: Path) -> list[Path]:
    return sorted((folder / "test").rglob("*.png"))


def logits_of(data: Prepared, architecture: str, file: Path, transforms: str | None) -> np.ndarray:
    """Consort's, for the test images."""
    wanted = transforms_of(architecture, str(file), transforms, data)
    recipe = imported_recipe(str(file), Recipe(precision="float32"), wanted)
    spec = MemberSpec(architecture, data.fingerprint, recipe, 0)
    members.write_specs(data.store, [spec])
    record = import_member(data.store, spec, data, str(file))
    predict(data.store, record.id, data, {})
    return np.load(data.store.root / "members" / record.id / "logits-test.npy")  # type: ignore[attr-defined]


def assert_as_published(ours: np.ndarray, network: nn.Module, transforms: Any, folder: Path) -> None:
    """The same logits, measured by how much those of different images differ."""
    with torch.no_grad():
        published = np.concatenate([network(transforms(Image.open(file))[None]).numpy() for file in files_of(folder)])
    spread = np.ptp(published, axis=0).max()
    assert spread > 1e-3
    assert np.abs(ours - published).max() < 1e-3 * spread


@pytest.mark.parametrize(("architecture", "weights", "transforms"), [
    ("mobilenet_v3_small", "IMAGENET1K_V1", None), ("efficientnet_b1", "IMAGENET1K_V2", "IMAGENET1K_V2"),
    ("inception_v3", "IMAGENET1K_V1", "published"), ("googlenet", "IMAGENET1K_V1", "published")])
def test_logits_are_those_of_torchvision(architecture, weights, transforms, large, tmp_path):
    options = {"transform_input": True, "aux_logits": True, "init_weights": False} \
        if architecture in ("inception_v3", "googlenet") else {}
    torch.manual_seed(0)
    own = torchvision.models.get_model_weights(architecture)[weights].transforms()
    network = made_lively(torchvision.models.get_model(architecture, num_classes=2, **options), own, large)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    ours = logits_of(prepared(large, tmp_path), architecture, tmp_path / "w.safetensors", transforms)
    assert_as_published(ours, network, own, large)


def test_a_file_of_inception_gets_its_scaling(large, tmp_path):
    """Resized and cropped as trained members' images, which puts an odd margin's pixel on the other side."""
    torch.manual_seed(0)
    network = torchvision.models.get_model("inception_v3", num_classes=2, transform_input=True, init_weights=False)
    own = torchvision.models.get_model_weights("inception_v3").IMAGENET1K_V1.transforms()
    made_lively(network, own, large)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    data = prepared(large, tmp_path)

    def as_trained(image: Image.Image) -> torch.Tensor:
        image.load()  # and close
        square = torch.from_numpy(decode(Path(image.filename).read_bytes(), 342)[21:320, 21:320].copy())
        scaled = square.permute(2, 0, 1) / 255 - torch.tensor(data.manifest.mean).view(3, 1, 1)
        return scaled / torch.tensor(data.manifest.std).view(3, 1, 1)

    ours = logits_of(data, "inception_v3", tmp_path / "w.safetensors", None)
    assert_as_published(ours, network, as_trained, large)


def test_logits_are_those_of_timm(large, tmp_path):
    configuration = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg("resnet18").to_dict())
    assert (configuration["interpolation"], configuration["crop_pct"]) == ("bicubic", 0.95)
    own = timm.data.create_transform(**configuration)
    torch.manual_seed(0)
    network = made_lively(timm.create_model("resnet18", num_classes=2), own, large)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    ours = logits_of(prepared(large, tmp_path), "timm:resnet18", tmp_path / "w.safetensors", None)
    assert_as_published(ours, network, own, large)


def test_small_images_are_enlarged_where_that_is_asked_for(small, tmp_path):
    own = torchvision.models.get_model_weights("mobilenet_v3_small").IMAGENET1K_V1.transforms()
    torch.manual_seed(0)
    network = made_lively(torchvision.models.get_model("mobilenet_v3_small", num_classes=2), own, small)
    file, data = tmp_path / "w.safetensors", prepared(small, tmp_path)
    safetensors.torch.save_file(network.state_dict(), file)
    assert_as_published(logits_of(data, "mobilenet_v3_small", file, "published"), network, own, small)
    plain = logits_of(data, "mobilenet_v3_small", file, None)  # as arrays are, by the data's mean and deviation
    assert not np.allclose(plain, logits_of(data, "mobilenet_v3_small", file, "published"), rtol=0.1)
    assert np.array_equal(plain, logits_of(data, "mobilenet_v3_small", file, "data"))


def hub_file(architecture: str, state: dict[str, torch.Tensor], home: Path) -> None:
    """Where torch.hub keeps a download."""
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    folder = home / "hub/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / url.rsplit("/", 1)[1])


@pytest.mark.parametrize("architecture", ["densenet121", "googlenet", "inception_v3", "resnet18"])
def test_weights_by_name_are_read_as_torchvision_reads_them(architecture, world: World, tmp_path, monkeypatch):
    """The keys of the published files: DenseNets' are of an older naming, two bring auxiliary classifiers, and old
    files do not count batches."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    options = {"aux_logits": True, "init_weights": False} if architecture in ("inception_v3", "googlenet") else {}
    network = torchvision.models.get_model(architecture, num_classes=10, **options)
    state = {name: tensor for name, tensor in network.state_dict().items()
             if architecture == "inception_v3" or not name.endswith("num_batches_tracked")}
    if architecture == "densenet121":
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): t for name, t in state.items()}
        assert "features.denseblock1.denselayer1.norm.1.weight" in state
    hub_file(architecture, state, tmp_path)
    spec = world.spec({"weights": "torchvision:IMAGENET1K_V1", "transforms": "published"}, architecture=architecture)
    record = import_member(world.store, spec, world.data, "IMAGENET1K_V1")
    side = 299 if architecture == "inception_v3" else 224
    assert record.input == f"{side}x{side}" and record.preprocessing is not None
    stored = safetensors.torch.load_file(world.path(f"members/{spec.id}/weights.safetensors"))
    assert not [name for name in stored if name.lower().startswith("aux")]
    assert all(torch.equal(stored[name], tensor) for name, tensor in network.state_dict().items() if name in stored)


def test_scores_that_are_not_finite_are_refused(large, tmp_path):
    network = torchvision.models.get_model("mobilenet_v3_small", num_classes=2)
    nn.init.constant_(network.classifier[3].bias, float("nan"))
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"infinite or NaN scores for 2 of the 2 images of val"):
        logits_of(prepared(large, tmp_path), "mobilenet_v3_small", tmp_path / "w.safetensors", None)


def test_pickled_weights_are_told_how_to_become_safetensors(tmp_path):
    """The printed line is run, as it is."""
    network = torchvision.models.get_model("mobilenet_v3_small", num_classes=10)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "mine.pt")
    refused = consort("members", "import", "mobilenet_v3_small", "--weights", str(tmp_path / "mine.pt"), "--data",
                      "digits", "--store", str(tmp_path / "store"))
    assert refused.returncode == 2
    line = next(line for line in refused.stderr.splitlines() if line.strip().startswith("python -c"))
    subprocess.run(line.strip().replace("python", sys.executable, 1), shell=True, check=True)
    converted = safetensors.torch.load_file(tmp_path / "mine.safetensors")
    assert converted.keys() == network.state_dict().keys()


@pytest.mark.parametrize("front", ["module.", "_orig_mod."])
def test_names_behind_a_wrappers_prefix_are_told_to_lose_it(front, tmp_path):
    state, file = build("wrn-10-1", 3).state_dict(), str(tmp_path / "w.safetensors")
    safetensors.torch.save_file({front + name: tensor for name, tensor in state.items()}, file)
    with pytest.raises(InputError, match=f"besides. All of these names begin with '{front}', as a wrapper such as"):
        check_file("wrn-10-1", file, 3)
    safetensors.torch.save_file({**state, "module.other": torch.zeros(1)}, file)
    with pytest.raises(InputError, match=r"besides\.$"):
        check_file("wrn-10-1", file, 3)
