"""Training one member: it learns, and what it becomes depends on its specification alone."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from small_members import BASE, STEPS_PER_EPOCH, TRAIN_IMAGES, World, after_steps, train_quietly

from consort import hardware, members
from consort.errors import Busy, InputError, MemberFailed, Terminated
from consort.members.history import read_history
from consort.members.spec import MemberSpec
from consort.models.families import build
from consort.store import keys
from consort.train import checkpoint, number_format
from consort.train.state import _optimiser

STEPS = STEPS_PER_EPOCH * BASE["epochs"]
EVERYTHING = {"ema": 0.9, "cutout": 3, "label_smoothing": 0.1, "schedule": "step", "milestones": [0.3, 0.6],
              "flip": True}


def silent(text: str) -> None:
    """For `checkpoint.newest`, where no warning is awaited."""
    raise AssertionError(text)


def test_the_loss_falls_and_accuracy_beats_chance(world: World) -> None:
    spec = world.spec(BASE | {"epochs": 14})
    with pytest.raises(Terminated):
        train_quietly(world, spec, stop=after_steps(1))
    first = checkpoint.newest(world.store, spec.id, silent)
    assert first is not None
    record, _ = train_quietly(world, spec)
    assert first.counters["loss"] == pytest.approx(math.log(10), rel=0.5)
    assert record.train_loss is not None and record.train_loss < first.counters["loss"] / 2
    assert record.val_accuracy is not None and record.val_accuracy > 0.5
    labels, logits = world.data.labels("test"), world.logits(spec, "test")
    assert logits.shape == (len(labels), 10) and logits.dtype == np.float32
    assert (logits.argmax(axis=1) == labels).mean() > 0.5


@pytest.mark.parametrize(("architecture", "recipe", "stops"), [
    ("wrn-10-1", BASE, (STEPS_PER_EPOCH + 2, 1, 4)),
    ("wrn-10-1", BASE, (STEPS,)),
    ("wrn-10-1", BASE | EVERYTHING, (4, STEPS_PER_EPOCH)),
    ("wrn-10-1", BASE | {"momentum": 0, "precision": "float32"}, (3,)),
    ("mobilenet_v3_small", BASE | {"epochs": 1, "precision": "float32"}, (2,)),
], ids=["plain", "after-last-step", "ema-cutout-smoothing-step", "no-momentum", "dropout"])
def test_an_interrupted_member_is_bit_identical(new_world: Callable[[], World], architecture: str, recipe: dict,
                                                stops: tuple[int, ...]) -> None:
    whole, parts = new_world(), new_world()
    spec = whole.spec(recipe, architecture=architecture)
    train_quietly(whole, spec)
    done = 0
    for steps in stops:
        with pytest.raises(Terminated, match=f"step {done + steps} "):
            train_quietly(parts, spec, stop=after_steps(steps))
        done += steps
    record, events = train_quietly(parts, spec)
    assert [e["step"] for e in events if e["event"] == "resumed"] == [done]
    assert parts.files(spec) == whole.files(spec)
    assert (whole.record(spec).attempts, record.attempts) == (1, len(stops) + 1)
    assert list(parts.store.list(keys.resume_folder(spec.id))) == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, alter, Path.unlink])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
        world: World, trained: tuple[World, MemberSpec], damage: Callable[[Path], None]) -> None:
    whole, spec = trained
    with pytest.raises(Terminated):
        train_quietly(world, spec, checkpoint_steps=3, stop=after_steps(8))
    damage(world.path(keys.checkpoint_file(spec.id, 8, "checkpoint.safetensors")))
    _, events = train_quietly(world, spec)
    assert [(e["event"], e.get("step")) for e in events[1:3]] == [("warning", None), ("resumed", 6)]
    assert "00000008" in events[1]["text"]
    assert world.files(spec) == whole.files(spec)


@pytest.mark.parametrize("pointer", [b"", b'{"checkpoints": [{"st', b"[]", b'{"checkpoints": [{}]}', b"\xff\xfe"])
def test_a_damaged_pointer_starts_the_member_again(world: World, trained: tuple[World, MemberSpec],
                                                   pointer: bytes) -> None:
    whole, spec = trained
    world.store.write(keys.resume_pointer(spec.id), pointer)
    train_quietly(world, spec)
    assert world.files(spec) == whole.files(spec)


def test_the_newest_two_checkpoints_are_kept(world: World) -> None:
    spec = world.spec(BASE)
    with pytest.raises(Terminated):
        train_quietly(world, spec, checkpoint_steps=2, stop=after_steps(7))
    kept = [key.split("/")[3] for key in world.store.list(keys.resume_folder(spec.id)) if key.endswith("safetensors")]
    assert kept == ["00000006", "00000007"]


def test_the_same_specification_gives_the_same_bytes(world: World, trained: tuple[World, MemberSpec]) -> None:
    whole, spec = trained
    train_quietly(world, spec, checkpoint_steps=4)
    other = world.spec(BASE, seed=1)
    train_quietly(world, other)
    assert world.files(spec) == whole.files(spec)
    assert world.files(other)["weights.safetensors"] != whole.files(spec)["weights.safetensors"]


def test_a_loss_that_is_not_finite_ends_the_member(world: World) -> None:
    spec = world.spec(BASE | {"learning_rate": 1e12})
    where = rf"{spec.id}: the loss became \S+ at step \d+ of {STEPS}, with learning rate \d\.\d+e\+\d+\. Lower"
    with pytest.raises(MemberFailed, match=where):
        train_quietly(world, spec, checkpoint_steps=1)
    reason = members.read_failure(world.store, spec.id)
    assert reason is not None and "learning rate" in reason
    assert members.read_record(world.store, spec.id) is None
    assert list(world.store.list(keys.resume_folder(spec.id))) == []  # its weights are not finite either


def test_a_last_update_that_ruins_the_weights_ends_the_member(world: World) -> None:
    """No loss follows it that would show."""
    spec = world.spec(BASE | {"epochs": 1, "batch_size": TRAIN_IMAGES, "learning_rate": 1e37})
    with pytest.raises(MemberFailed, match=rf"{spec.id}: (weights|predictions) became infinite or NaN at step 1 of 1"):
        train_quietly(world, spec)
    assert members.read_record(world.store, spec.id) is None
    assert "infinite or NaN" in (members.read_failure(world.store, spec.id) or "")


def test_a_short_training_with_a_slow_average_learns_as_it_does_without(new_world: Callable[[], World]) -> None:
    records = []
    for average in ({}, {"ema": 0.9999, "ema_warmup": True}, {"ema": 0.9999}):
        world = new_world()
        records.append(train_quietly(world, world.spec(BASE | {"epochs": 12} | average)))
    (plain, _), (warmed, _), (cold, events) = records
    assert plain.val_accuracy is not None and plain.val_accuracy > 0.5 and plain.last_val_accuracy is None
    assert warmed.val_accuracy is not None and warmed.val_accuracy > plain.val_accuracy - 0.1
    assert cold.last_val_accuracy == plain.val_accuracy > (cold.val_accuracy or 0.0)
    assert ["lower [recipe] ema than 0.9999" in e["text"] for e in events if e["event"] == "warning"] == [True]


def test_every_epoch_is_kept(world: World) -> None:
    judged: list[float] = []
    spec = world.spec(BASE | EVERYTHING)
    record, _ = train_quietly(world, spec, after_epoch=lambda epoch, accuracy: judged.append(accuracy))
    rows = read_history(world.store, record)
    assert [(row.epoch, row.steps) for row in rows] == [(1, 5), (2, 10), (3, 15)] and STEPS == 15
    assert [row.val_accuracy for row in rows] == judged and judged[-1] == record.val_accuracy
    assert [row.learning_rate for row in rows] == pytest.approx([0.02, 0.004, 0.004])
    assert rows[0].loss > rows[2].loss > 0
    assert len(record.images_per_second) == 3 and min(record.images_per_second) > 0


def test_a_finished_member_is_returned_at_once(trained: tuple[World, MemberSpec]) -> None:
    world, spec = trained
    written = world.path(keys.member_record(spec.id)).stat().st_mtime_ns
    record, events = train_quietly(world, spec, stop=lambda: True)
    assert record == world.record(spec) and events == []
    assert world.path(keys.member_record(spec.id)).stat().st_mtime_ns == written


def test_a_second_trainer_is_turned_away(world: World) -> None:
    spec = world.spec(BASE)
    with world.store.lock(keys.member_lock(spec.id)), pytest.raises(Busy, match=spec.id):
        train_quietly(world, spec)
    assert list(world.store.list(keys.member_folder(spec.id))) == []


@pytest.mark.parametrize("architecture", ["wrn-10-1", "mobilenet_v3_small"])
def test_weight_decay_is_not_applied_to_vectors(architecture: str) -> None:
    network = build(architecture, 10)
    decayed, plain = _optimiser(network, 5e-4, 0.9).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (5e-4, 0.0)
    assert decayed["nesterov"] and plain["nesterov"]
    vectors = {p for name, p in network.named_parameters() if "bias" in name or "norm" in name or p.ndim == 1}
    assert set(plain["params"]) == vectors
    assert set(decayed["params"]) == set(network.parameters()) - vectors


def test_both_number_formats_train(new_world: Callable[[], World]) -> None:
    logits = {}
    for precision in ("bfloat16", "float32"):
        world = new_world()
        spec = world.spec(BASE | {"epochs": 8, "precision": precision})
        record, _ = train_quietly(world, spec)
        assert record.precision == precision
        assert record.val_accuracy is not None and record.val_accuracy > 0.3
        logits[precision] = world.logits(spec, "test")
    assert not np.array_equal(logits["bfloat16"], logits["float32"])


def test_auto_is_the_format_that_was_measured_and_a_resumed_member_stays_in_it(world: World, monkeypatch) -> None:
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: True)
    monkeypatch.setattr(number_format, "faster", lambda times: "float32")
    begun, later = (world.spec(BASE | {"epochs": 1}, seed, "mobilenet_v3_small") for seed in (0, 1))
    with pytest.raises(Terminated):
        train_quietly(world, begun, stop=after_steps(2))
    world.store.delete(keys.LATENCIES)
    monkeypatch.setattr(number_format, "faster", lambda times: "bfloat16")
    assert [train_quietly(world, spec)[0].precision for spec in (begun, later)] == ["float32", "bfloat16"]


def test_the_average_is_what_is_kept(world: World) -> None:
    """With a decay this close to 1 the average stays where the network began."""
    spec = world.spec(BASE | {"epochs": 1, "ema": 1 - 1e-9})
    train_quietly(world, spec)
    torch.manual_seed(spec.seed)
    first = build(spec.architecture, 10).state_dict()["stem.weight"]
    kept = safetensors.torch.load(world.files(spec)["weights.safetensors"])
    assert torch.allclose(kept["stem.weight"], first, atol=1e-6)


def test_a_date_is_a_seed(world: World) -> None:
    spec = world.spec(BASE | {"epochs": 1}, seed=20260131)
    record, _ = train_quietly(world, spec)
    assert record.seed == 20260131


def test_a_batch_larger_than_the_data_is_refused(world: World) -> None:
    with pytest.raises(InputError, match=r"batch_size .* got 161 and 160"):
        train_quietly(world, world.spec(BASE | {"batch_size": 161}))


def test_the_record_states_the_cost(trained: tuple[World, MemberSpec]) -> None:
    world, spec = trained
    record = world.record(spec)
    assert (record.input, record.train_images, record.imported) == ("8x8", STEPS * 32, False)
    assert record.train_macs == 3 * record.macs * record.train_images
    assert record.train_seconds > 0 and record.train_cpu_seconds > 0
