"""What cannot work is refused when it is planned."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from safetensors.torch import save_file

from consort import members
from consort.costs import counted as remembered
from consort.costs.counted import counted
from consort.errors import InputError
from consort.models.families import build
from consort.run.plan import Plan, plan
from consort.store.folder import FolderStore
from consort.study.file import parse_study

DIGITS = 'source = "digits", train_images = 40, val_images = 20'


def planned(folder: Path, architectures: str, recipe: str = "batch_size = 20", data: str = DIGITS) -> Plan:
    study = parse_study(f"name = 'tiny'\ndata = {{ {data} }}\nrecipe = {{ {recipe} }}\n[architectures]\n"
                        f"{architectures}\n", "study.toml")
    return plan(FolderStore(folder / "store"), study, folder, folder / "cache")


@pytest.mark.parametrize(("architecture", "recipe", "words"), [
    ("vgg11", "batch_size = 20", r"vgg11 cannot take an image of 8x8 pixels: .*wrn-16-1"),
    ("timm:vit_tiny_patch16_224", "batch_size = 20", r"vit_tiny_patch16_224 cannot take an image of 8x8 pixels"),
    ("resnet18", "batch_size = 1", r"resnet18 cannot be trained with one image per batch on images of 8x8.*2 or more"),
    ("wrn-10-1", "batch_size = 50", r"number of training images, got 50 and 40"),
    ("wrn-10-1", "batch_size = 20, crop_padding = 8", r"crop_padding must be less than .* got 8 and 8x8")])
def test_what_cannot_be_trained_is_refused(tmp_path, architecture, recipe, words):
    with pytest.raises(InputError, match=words):
        planned(tmp_path, f'"{architecture}" = 1', recipe)
    assert not (tmp_path / "store/studies").exists()


def test_every_wrong_network_is_named_at_once(tmp_path):
    with pytest.raises(InputError) as raised:
        planned(tmp_path, '"vgg11" = 1\n"wrn-10-1" = { recipe = { batch_size = 41 } }\n"wrn-10-2" = 2')
    assert [line.split()[0] for line in str(raised.value).splitlines()] == ["vgg11", "wrn-10-1:"]


@pytest.mark.parametrize(("architecture", "recipe"), [
    ("wrn-10-1", "batch_size = 1"), ("resnet18", "batch_size = 2"), ("wrn-10-1", "batch_size = 40")])
def test_what_can_be_trained_is_planned(tmp_path, architecture, recipe):
    assert len(planned(tmp_path, f'"{architecture}" = 1', recipe).specs) == 1


def test_weights_that_do_not_fit_are_refused_before_anything_is_trained(tmp_path):
    save_file(build("wrn-10-1", 7).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"with the data's 10 classes: classifier\.\w+ is \(7"):
        planned(tmp_path, '"wrn-10-1" = { weights = "w.safetensors" }')


def test_members_that_are_there_or_failed_before_are_left_alone(tmp_path):
    """A study of before goes on as before: only what would be trained is looked at."""
    fine = planned(tmp_path, '"wrn-10-1" = 1', "batch_size = 20")
    later = fine.study.recipe.model_copy(update={"batch_size": 500})
    spec = fine.specs[0].__class__("wrn-10-1", fine.data.fingerprint, later, 0)
    members.write_failure(FolderStore(tmp_path / "store"), spec.id, "it was tried")
    assert planned(tmp_path, '"wrn-10-1" = 1', "batch_size = 500").specs == [spec]


def test_a_full_disk_is_noticed(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    with pytest.raises(InputError, match=r"has 1 B free, and the members to come \(3\) take [0-9.]+ kB\..*--store"):
        planned(tmp_path, '"wrn-10-1" = 3')


def test_a_disk_that_has_room_for_the_logits_only_is_noticed(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(InputError, match=r"has 1 MB free, and the members to come \(3\) take 3\.8 MB"):
        planned(tmp_path, '"wrn-10-2" = 3')


def test_a_count_is_remembered_and_a_damaged_note_is_counted_again(tmp_path, monkeypatch):
    first = counted("resnet18", (32, 32), 10, tmp_path)
    (note,) = (tmp_path / "counts").iterdir()
    note.write_text(note.read_text().replace(str(first.macs), "7"))
    assert counted("resnet18", (32, 32), 10, tmp_path).macs == 7  # read, not counted
    assert counted("resnet18", (32, 32), 11, tmp_path).macs > 7
    note.write_text("{")
    assert counted("resnet18", (32, 32), 10, tmp_path) == first
    monkeypatch.setattr(remembered, "version", lambda package: "another")
    note.write_text("{}")
    assert counted("resnet18", (32, 32), 10, tmp_path) == first and note.read_text() == "{}"
