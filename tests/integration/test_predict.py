"""Logits from the weights in the store, and weights that come from elsewhere."""

import csv
import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from PIL import Image
from small_members import DATA, World, consort, read_json, study_files

from consort import members
from consort.data.prepare import prepare_test_set
from consort.data.prepared import Prepared
from consort.errors import InputError, IntegrityError
from consort.events import Event
from consort.members.logits import read_logits, write_logits
from consort.members.spec import MemberSpec
from consort.models.families import build
from consort.store import keys
from consort.train import prediction
from consort.train.imported_weights import import_member
from consort.train.prediction import predict

LOGITS = ("logits-val.npy", "logits-test.npy")
CLOSED = "http://127.0.0.1:9"
"""A port of this machine on which nothing listens."""


@pytest.fixture
def weights(trained: tuple[World, MemberSpec], tmp_path: Path) -> Path:
    """The weights of a trained member in a file of the user's."""
    world, spec = trained
    file = tmp_path / "weights.safetensors"
    file.write_bytes(world.files(spec)["weights.safetensors"])
    return file


@pytest.fixture
def copy(new_world: Callable[..., World], trained: tuple[World, MemberSpec]) -> tuple[World, MemberSpec]:
    """A trained member that a test may spoil."""
    return new_world(trained[0]), trained[1]


@pytest.fixture(scope="module")
def shifted_images(tmp_path_factory: pytest.TempPathFactory, trained: tuple[World, MemberSpec]) -> Path:
    """A further test set: 40 digits of the classes 0 to 4, one pixel further right."""
    data, folder = trained[0].data, tmp_path_factory.mktemp("shifted")
    labels, images = data.labels("test"), data.images("test")
    for number in np.flatnonzero(labels < 5)[:40]:
        file = folder / "test" / str(labels[number]) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(images[number], 1, axis=1)).save(file)
    return folder


@pytest.fixture
def shifted(copy: tuple[World, MemberSpec], shifted_images: Path) -> dict[str, Prepared]:
    world, _ = copy
    return {"shifted": prepare_test_set(world.store, "shifted", str(shifted_images), world.data, DATA, Path(),
                                        world.data.cache)}


def imported(world: World, weights: Path, architecture: str = "wrn-10-1") -> MemberSpec:
    spec = world.spec({"weights": "0" * 64}, architecture=architecture)
    import_member(world.store, spec, world.data, str(weights))
    return spec


def same_logits(ours: tuple[World, MemberSpec], theirs: tuple[World, MemberSpec]) -> bool:
    return all(np.array_equal(ours[0].logits(ours[1], s), theirs[0].logits(theirs[1], s)) for s in ("val", "test"))


def test_imported_weights_become_a_member(world: World, trained: tuple[World, MemberSpec], weights: Path) -> None:
    spec = imported(world, weights)
    before = world.record(spec)
    assert before.imported and before.val_accuracy is None and list(before.files) == ["weights.safetensors"]
    assert predict(world.store, spec.id, world.data, {}) == []
    after, original = world.record(spec), trained[0].record(trained[1])
    assert (after.macs, after.params, after.val_accuracy) == (original.macs, original.params, original.val_accuracy)
    assert (after.train_images, after.train_macs) == (0, 0)
    assert same_logits((world, spec), trained)


@pytest.mark.parametrize("name", LOGITS)
def test_logits_that_are_gone_are_written_again(copy: tuple[World, MemberSpec], trained: tuple[World, MemberSpec],
                                                name: str) -> None:
    world, spec = copy
    world.store.delete(keys.member_file(spec.id, name))
    predict(world.store, spec.id, world.data, {})
    assert same_logits(copy, trained)
    assert predict(world.store, spec.id, world.data, {}) == []


def test_nothing_is_predicted_twice(copy: tuple[World, MemberSpec]) -> None:
    world, spec = copy
    events: list[Event] = []
    predict(world.store, spec.id, world.data, {}, listen=events.append)
    assert events == []


def test_recomputed_logits_are_identical(copy: tuple[World, MemberSpec], shifted: Mapping[str, Prepared]) -> None:
    world, spec = copy
    assert predict(world.store, spec.id, world.data, shifted) == []
    found = predict(world.store, spec.id, world.data, shifted, recompute=True)
    assert [(c.test_set, c.identical, c.agrees) for c in found] == [(s, True, True) for s in ("val", "test", "shifted")]
    assert all(c.stored_accuracy == c.recomputed_accuracy for c in found)


def test_recomputing_finds_logits_of_another_network(copy: tuple[World, MemberSpec]) -> None:
    """Logits and record changed together: only the weights can tell."""
    world, spec = copy
    record = world.record(spec)
    files = write_logits(world.store, spec.id, {"val": world.logits(spec, "val") + 1})
    record.files.update(files)
    members.write_record(world.store, record)
    found = {c.test_set: c for c in predict(world.store, spec.id, world.data, {}, recompute=True)}
    assert found["test"].identical
    assert not found["val"].agrees and found["val"].largest_difference == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["weights.safetensors", *LOGITS])
def test_an_altered_file_is_noticed(copy: tuple[World, MemberSpec], name: str) -> None:
    world, spec = copy
    path = world.path(keys.member_file(spec.id, name))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(IntegrityError, match=rf"{spec.id}/{name} was altered.*consort rm"):
        predict(world.store, spec.id, world.data, {}, recompute=True)


def test_a_further_test_set_gets_logits(copy: tuple[World, MemberSpec], shifted: Mapping[str, Prepared]) -> None:
    world, spec = copy
    other = shifted["shifted"]
    predict(world.store, spec.id, world.data, shifted)
    logits = np.array(read_logits(world.store, world.record(spec), world.data, "test", other, other.cache))
    assert logits.shape == (40, 10) and logits.dtype == np.float32
    path = world.path(keys.extra_logits(spec.id, other.fingerprint))
    np.save(path, logits + 1)
    with pytest.raises(IntegrityError, match=f"{path.name} was altered"):
        predict(world.store, spec.id, world.data, shifted, recompute=True)
    path.unlink()
    predict(world.store, spec.id, world.data, shifted)
    assert np.array_equal(read_logits(world.store, world.record(spec), world.data, "test", other, other.cache), logits)


def test_a_member_that_is_not_finished_cannot_predict(world: World) -> None:
    spec = world.spec({})
    with pytest.raises(InputError, match=f"{spec.id} is not finished"):
        predict(world.store, spec.id, world.data, {})


def test_a_full_gpu_is_said_with_what_helps(copy: tuple[World, MemberSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    world, spec = copy

    def full(*_: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ...")

    monkeypatch.setattr(prediction, "predict_logits", full)
    with pytest.raises(InputError, match=rf"for the predictions of member {spec.id}: CUDA error: out of memory\. "
                                         r"End the other process .*CUDA_VISIBLE_DEVICES= \(empty\) predicts"):
        predict(world.store, spec.id, world.data, {}, recompute=True)


def test_weights_that_do_not_fit_are_refused(world: World, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not fit wrn-16-1: it lacks .*blocks\.3\."):
        imported(world, weights, "wrn-16-1")
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(build("wrn-10-3", 10).state_dict(), other)
    with pytest.raises(InputError, match=r"does not fit wrn-10-2 .*: blocks\.0\.conv1\.weight is \(48, 16, 3, 3\), "
                                         r"expected \(32, 16, 3, 3\)"):
        imported(world, other, "wrn-10-2")
    safetensors.torch.save_file(build("wrn-10-1", 7).state_dict(), other)
    with pytest.raises(InputError, match=r"with the data's 10 classes: classifier\.\w+ is \(7"):
        imported(world, other)
    other.write_bytes(b"not weights")
    with pytest.raises(InputError, match=f"{other} is not a readable safetensors file"):
        imported(world, other)
    assert list(world.store.list("members")) == []


def test_torchvision_weights_without_a_network(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, CLOSED)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies that it first saw
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = world.spec({"weights": "torchvision:IMAGENET1K_V1"}, architecture="mobilenet_v3_small")
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 of mobilenet_v3_small cannot be downloaded \(.*\)\. Without a "
                                         r"network: .*\.safetensors"):
        import_member(world.store, spec, world.data, "IMAGENET1K_V1")
    with pytest.raises(InputError, match=r"unknown weights of mobilenet_v3_small 'IMAGENET_1K'.*IMAGENET1K_V1"):
        import_member(world.store, spec, world.data, "IMAGENET_1K")


def test_torchvision_weights_of_another_family_are_refused(world: World) -> None:
    spec = world.spec({"weights": "torchvision:IMAGENET1K_V1"})
    with pytest.raises(InputError, match=r"wrn-10-1.*\.safetensors"):
        import_member(world.store, spec, world.data, "IMAGENET1K_V1")


def test_a_study_of_weights_runs_without_training(tmp_path: Path, new_world: Callable[[], World], weights: Path,
                                                  shifted_images: Path) -> None:
    world = new_world()
    study = tmp_path / "study.toml"
    study.write_text(f"""
name = "bought"
data = {{ source = "digits", train_images = {DATA.train_images}, val_images = {DATA.val_images}, also = [
    {{ name = "shifted", source = {json.dumps(str(shifted_images))} }}] }}
architectures = {{ "wrn-10-1" = {{ weights = "weights.safetensors" }} }}
latency = {{ repeats = 3 }}
""")
    done = consort("run", str(study), "--store", world.store.uri)
    assert (done.returncode, done.stderr) == (0, "")
    assert "training" not in done.stdout
    (member,) = (world.store.root / "members").iterdir()
    assert read_json(member / "member.json")["imported"]
    with open(study_files(world.store.root, "bought")["results.csv"]) as file:
        rows = list(csv.DictReader(file))
    assert {(row["test_set"], row["ensemble"]) for row in rows} == {("test", "1 x wrn-10-1"),
                                                                    ("shifted", "1 x wrn-10-1")}
    weights.unlink()
    done = consort("plan", str(study), "--store", world.store.uri)
    assert done.returncode == 2 and f"{weights} do not exist" in done.stderr
