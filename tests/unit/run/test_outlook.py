"""What `consort plan` says of a run before anything is trained."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.cells import cell_len

from consort import hardware, members
from consort.costs.macs import count
from consort.models import compute
from consort.run.outlook import outlook, warnings
from consort.run.plan import plan
from consort.run.run import Run
from consort.screen import outlook as screen_outlook
from consort.screen.outlook import outlook_lines
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from consort.train import pace_estimate
from consort.train.pace_estimate import PackSpeed
from gpu_nodes import gpu_node

WELL = "epochs = 20, batch_size = 20"
"""600 steps on 600 images."""


def planned(folder: Path, recipe: str = WELL, data: str = 'source = "digits", train_images = 340, val_images = 200',
            architectures: str = '"wrn-10-1" = 2\n"wrn-10-2" = 1', settings: str = "") -> Run:
    study = parse_study(f"name = 'tiny'\ndata = {{ {data} }}\nrecipe = {{ {recipe} }}\nrun = {{ {settings} }}\n"
                        f"[architectures]\n{architectures}\n", "study.toml")
    store, cache = FolderStore(folder / "store"), folder / "cache"
    return Run(plan(store, study, folder, cache), store, cache)


def test_images_steps_macs_and_disk(tmp_path):
    run = planned(tmp_path)
    members.write_failure(run.store, run.ids[0], "it was tried")
    found = outlook(run)
    assert {split: sum(counts.values()) for split, counts in found.images.items()} == run.plan.data.counts
    assert found.images["test"]["3"] == int((run.plan.data.labels("test") == 3).sum())
    one, two = found.networks
    assert (one.states, one.steps, two.states) == ({"failed": 1, "to train": 1}, 340 // 20 * 20, {"to train": 1})
    costs = [count(name, 8, 10) for name in ("wrn-10-1", "wrn-10-2")]
    assert [(n.macs, n.params) for n in found.networks] == [(c.macs, c.params) for c in costs]
    assert found.train_macs == 3 * 340 * 20 * sum(c.macs for c in costs)
    assert found.disk_bytes == sum(4 * c.params + 4 * 10 * (200 + 1197) for c in costs)
    assert found.warnings == []
    text = "\n".join(outlook_lines(run, found))
    assert re.search(r"training takes about .* here, \d+ at a time: .* measured step of wrn-10-1 \(an estimate", text)
    assert re.search(r"wrn-10-1 +1 failed, 1 to train +340 ", text) and "warning" not in text


@pytest.mark.parametrize(("settings", "compiles", "how"), [
    ("", True, ""), ("compile = true", True, ", compiled"), ("compile = true", False, ", not compiled"),
    ("compile = true, deterministic = true", True, ", compiled, deterministic")])
def test_the_time_on_gpus_is_that_of_packs_as_run_asks_for_them(tmp_path, monkeypatch, settings, compiles, how):
    """Small networks take more than their arithmetic there: three members of 6,800 images, nearly alike."""
    run = planned(tmp_path, settings=settings)
    found = outlook(run)
    measured: list[list[str]] = []

    def thousand_images_per_second(store, specs, data, settings) -> PackSpeed:
        measured.append([spec.architecture for spec in specs])
        assert settings.deterministic == run.study.run.deterministic
        return PackSpeed(1000.0, settings.compile and compiles)

    monkeypatch.setattr(compute, "check_gpu", lambda: None)
    monkeypatch.setattr(hardware, "gpus", lambda: ["0", "1"])
    monkeypatch.setattr(screen_outlook, "_pack", lambda run, network: run.to_train()[:2])
    monkeypatch.setattr(pace_estimate, "pack_speed", thousand_images_per_second)
    text = "\n".join(outlook_lines(run, found))
    assert ("training takes about 10 s here, on 2 GPUs, in packs: measured on some steps of 2 wrn-10-1 side by "
            f"side{how} (an estimate") in text
    assert measured == [["wrn-10-1", "wrn-10-1"]]


def test_a_pack_that_does_not_fit_is_measured_as_it_is_halved(tmp_path, monkeypatch):
    run = planned(tmp_path)

    def room_for_one(store, specs, data, settings) -> PackSpeed:
        if len(specs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return PackSpeed(1000.0, False)

    monkeypatch.setattr(compute, "check_gpu", lambda: None)
    monkeypatch.setattr(hardware, "gpus", lambda: ["0"])
    monkeypatch.setattr(screen_outlook, "_pack", lambda run, network: run.to_train())
    monkeypatch.setattr(pace_estimate, "pack_speed", room_for_one)
    assert "on 1 GPU, in packs: measured on some steps of 1 wrn-10-1 side by side (" in "\n".join(
        outlook_lines(run, outlook(run)))


@pytest.mark.parametrize("measure", ["pack_speed", "macs_per_second"])
def test_what_does_not_fit_into_the_gpu_now_is_said_in_place_of_a_time(tmp_path, monkeypatch, measure):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")

    run = planned(tmp_path)
    packs = {"pack_speed": run.to_train(), "macs_per_second": None}
    monkeypatch.setattr(screen_outlook, "_pack", lambda run, network: packs[measure])
    monkeypatch.setattr(pace_estimate, measure, full)
    text = "\n".join(outlook_lines(run, outlook(run)))
    assert "training takes about" not in text
    assert text.endswith("warning: how long training takes is not known: wrn-10-1 could not be measured, since it does "
                         "not fit into the GPU's memory as it is now (CUDA out of memory. Tried to allocate 2.00 GiB.)")


def test_one_measured_step_is_not_compiled_and_that_is_said(tmp_path):
    run = planned(tmp_path, settings="compile = true")
    text = "\n".join(outlook_lines(run, outlook(run)))
    assert "one measured step of wrn-10-1, not compiled (an estimate" in text


def test_where_the_gpu_cannot_be_used_that_is_said_in_place_of_a_time(tmp_path, monkeypatch):
    run = planned(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", None)
    text = "\n".join(outlook_lines(run, outlook(run)))
    assert "nothing would be trained here: a GPU is there or named" in text and "training takes" not in text


def test_a_pod_without_a_gpu_estimates_for_the_processor(tmp_path, monkeypatch):
    run = planned(tmp_path)
    gpu_node(monkeypatch, tmp_path)
    monkeypatch.setattr(hardware, "cores", lambda: 3)
    assert "3 at a time: " in "\n".join(outlook_lines(run, outlook(run)))


def test_a_long_name_of_a_class_leaves_the_table_in_its_columns():
    for name in ("a" * 200, "日本" * 40, "cat"):
        assert cell_len(screen_outlook._fitted(name, 42)) == 42
    assert screen_outlook._fitted("a" * 200, 42) == "a" * 39 + "..."


def test_few_images_are_not_told_to_set_aside_more_than_there_are(tmp_path):
    few = warnings(planned(tmp_path, WELL, 'source = "digits", train_images = 320, val_images = 60'))
    assert "Set [data]" not in few[0] and few[0].endswith("about 13 points only. More images would settle more.")
    enough = warnings(planned(tmp_path, WELL, 'source = "digits", train_images = 400, val_images = 60'))
    assert enough[0].endswith("Set [data] val_images to 200 or more.")


def test_nothing_to_train_is_nothing_to_warn_of(tmp_path):
    run = planned(tmp_path, "epochs = 1, batch_size = 40", 'source = "digits", train_images = 40, val_images = 20')
    assert len(warnings(run)) == 3
    for member in run.ids:
        members.write_failure(run.store, member, "it was tried")
    assert warnings(run) == []
    assert "training takes" not in "\n".join(outlook_lines(run, outlook(run)))


@pytest.mark.parametrize(("recipe", "data", "words"), [
    (WELL, 'source = "digits", train_images = 400, val_images = 199', r"^199 validation images.* about 7 points"),
    ("epochs = 1, batch_size = 20", 'source = "digits", train_images = 340, val_images = 200',
     r"^wrn-10-1, wrn-10-2 train for 17 steps only"),
    ("epochs = 300, batch_size = 256", 'source = "digits", train_images = 340, val_images = 200',
     r"^wrn-10-1, wrn-10-2: a batch of 256 is near the 340 training images.* leaves out 84 of them")])
def test_what_is_likely_to_disappoint(tmp_path, recipe, data, words):
    (text,) = warnings(planned(tmp_path, recipe, data))
    assert re.search(words, text)


def test_unequal_classes_are_held_against_the_largest(tmp_path):
    for label, counts in {"cat": (300, 30), "dog": (30, 10), "Dog ": (30, 0)}.items():
        for split, number in zip(("train", "test"), counts, strict=True):
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for index in range(number):
                pixels = np.random.default_rng([len(label), index, number]).integers(0, 255, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    run = planned(tmp_path, "epochs = 100, batch_size = 20", 'source = "photos", val_images = 60')
    found = warnings(run)
    assert [text.split()[0] for text in found] == ["60", "classes", "1", "classes"]
    assert "Always answering cat is right on 75.0% of the test images" in found[1]
    assert "no test images: Dog ." in found[2]
    assert "'Dog ', 'dog'" in found[3]


def test_many_classes_are_not_listed_one_by_one(tmp_path):
    run = planned(tmp_path)
    found = outlook(run)
    many = [f"c{number}" for number in range(40)]
    images = {split: dict.fromkeys(many, 7) | {"c3": 5, "c4": 90} for split in found.images}
    manifest = run.plan.data.manifest
    manifest.classes[:] = many
    found = found.__class__(images, [], None, [])
    lines = list(outlook_lines(run, found))
    assert len(lines) == 6 and re.search(r"smallest of 40 classes +5 +5 +5", lines[2]) and "90" in lines[3]
