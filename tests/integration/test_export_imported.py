"""Bundles of networks that prepare images in a way of their own answer as these do in the study."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from test_imported_weights import large, made_lively, prepared, small  # noqa: F401 (fixtures)

from consort import members
from consort.data.prepared import Prepared
from consort.export.running import read_manifest
from consort.export.verify import verify
from consort.members.spec import MemberSpec
from consort.run.plan import imported_recipe
from consort.store.folder import FolderStore
from consort.study.recipe import Recipe
from consort.train.imported_weights import import_member
from consort.train.prediction import predict
from exported_members import ExportedMembers, of


def imported(data: Prepared, side: int, place: Path, folder: Path, transforms: str = "published") -> str:
    """The id of a ResNet-18 whose weights are random, and lively with this folder's images."""
    torch.manual_seed(side)
    network = torchvision.models.get_model("resnet18", num_classes=2)
    made_lively(network, torchvision.models.get_model_weights("resnet18").IMAGENET1K_V1.transforms(
        resize_size=73, crop_size=64), folder)
    network.fc.weight.data *= 10  # so that a pixel that differs can be seen in the answer
    file = place / f"resnet18-{side}.safetensors"
    safetensors.torch.save_file(network.state_dict(), file)
    recipe = imported_recipe(str(file), Recipe(precision="float32", input_size=side), transforms)
    spec = MemberSpec("resnet18", data.fingerprint, recipe, side)
    members.write_specs(data.store, [spec])
    import_member(data.store, spec, data, str(file))
    predict(data.store, spec.id, data, {})
    return spec.id


def exported(data: Prepared, ids: list[str], folder: Path,
             format: str = "onnx") -> tuple[dict, dict[str, bool | None]]:
    """The manifest of an ensemble's bundle, and what its verification says."""
    assert isinstance(data.store, FolderStore)
    world = ExportedMembers(data.store, data, ids)
    bundle = world.export(world.candidate("c1", "uniform", list(range(len(ids)))), folder / "bundle",
                          format=format)
    images = data.image_root / "test" if data.manifest.layout == "files" else \
        data.store.root / "data" / data.fingerprint
    return read_manifest(bundle), {check.name: check.ok for check in verify(bundle, images)}


def test_files_are_prepared_as_the_weights_want_them(large, tmp_path):  # noqa: F811
    data = prepared(large, tmp_path)
    manifest, checks = exported(data, [imported(data, 64, tmp_path, large)], tmp_path)
    rule = manifest["input"]
    assert (rule["fit"], rule["resize"], rule["height"]) == ("shorter", [73, 73], 64)
    assert rule["interpolation"] == "bilinear" and "shorter side" in rule["rule"]
    assert manifest["members"][0]["preprocessing"]["source"] == "torchvision resnet18 IMAGENET1K_V1"
    assert manifest["study_agreement"]["exact"] and manifest["study_agreement"]["largest_difference"] < 1e-4
    assert all(ok is not False for ok in checks.values())


def test_members_of_different_scales_are_in_one_bundle_whose_agreement_is_measured(large, tmp_path):  # noqa: F811
    data = prepared(large, tmp_path)
    ids = [imported(data, side, tmp_path, large) for side in (48, 64)]
    manifest, checks = exported(data, ids, tmp_path)
    assert (manifest["input"]["resize"], manifest["input"]["height"]) == ([73, 73], 64)
    assert [m["input"] for m in manifest["members"]] == ["48x48", "64x64"]
    found = manifest["study_agreement"]
    assert not found["exact"] and "made of the bundle's" in found["why"]
    assert 1e-6 < found["largest_difference"] < 0.2 and found["same_class"] == 1
    assert all(ok is not False for ok in checks.values())


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_arrays_are_resized_inside_the_graph_for_whom_they_are_too_small(small, tmp_path, format):  # noqa: F811
    """One that was trained on them as they are, one that wants others, in one bundle: to the bit."""
    data = prepared(small, tmp_path)
    ids = [*of(data.store, data, ["wrn-10-1"]).ids, imported(data, 64, tmp_path, small)]  # type: ignore[arg-type]
    manifest, checks = exported(data, ids, tmp_path, format)
    assert (manifest["input"]["height"], manifest["input"]["width"]) == (96, 96) and "fit" not in manifest["input"]
    assert [m["input"] for m in manifest["members"]] == ["96x96", "64x64"]
    assert manifest["study_agreement"]["exact"] and manifest["study_agreement"]["largest_difference"] < 1e-4
    assert checks["study"] is True and all(ok is not False for ok in checks.values())


def test_what_differs_in_normalisation_alone_is_exact(large, tmp_path):  # noqa: F811
    data = prepared(large, tmp_path)
    trained = of(data.store, data, ["wrn-10-1"], input_size=64).ids  # type: ignore[arg-type]
    manifest, checks = exported(data, [*trained, imported(data, 64, tmp_path, large, "scaled")], tmp_path)
    assert "fit" not in manifest["input"] and manifest["input"]["resize"] == [73, 73]
    own = [m["preprocessing"] for m in manifest["members"]]
    assert own[0] is None and own[1]["mean"] == [0.485, 0.456, 0.406]
    assert manifest["study_agreement"]["exact"] and manifest["study_agreement"]["largest_difference"] < 1e-4
    assert all(ok is not False for ok in checks.values())
