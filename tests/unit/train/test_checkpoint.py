"""Checkpoints: written twice over, noticed when damaged, never pickled."""

import json
from pathlib import Path

import pytest
import torch

from consort.store import Store, keys, open_store
from consort.train import checkpoint
from consort.train.checkpoint import Checkpoint

MEMBER = "wrn-10-1-s0-0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def warnings_told() -> list[str]:
    return []


def state(step: int) -> Checkpoint:
    """A state of which every value depends on the step, in several number formats, one tensor a scalar."""
    generator = torch.Generator().manual_seed(step)
    tensors = {"model.weight": torch.randn(3, 2, generator=generator), "model.count": torch.tensor(step),
               "ema.weight": torch.randn(4, generator=generator).bfloat16()}
    return Checkpoint(step, tensors, {"attempts": step, "seconds": step / 3, "loss": None, "precision": "bfloat16"})


def equal(a: Checkpoint | None, b: Checkpoint) -> bool:
    return a is not None and (a.step, a.counters) == (b.step, b.counters) and a.tensors.keys() == b.tensors.keys() \
        and all(torch.equal(a.tensors[name], b.tensors[name]) and a.tensors[name].dtype == b.tensors[name].dtype
                for name in a.tensors)


def tensors_key(step: int) -> str:
    return f"members/{MEMBER}/resume/{step:08d}/checkpoint.safetensors"


def test_newest_is_what_was_saved(store, warnings_told):
    checkpoint.save(store, MEMBER, state(5))
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(5))
    assert warnings_told == []


def test_no_checkpoint_is_none(store, warnings_told):
    assert checkpoint.newest(store, MEMBER, warnings_told.append) is None
    assert warnings_told == []


def test_two_are_kept(store, warnings_told):
    for step in (1, 2, 3, 4):
        checkpoint.save(store, MEMBER, state(step))
    assert set(store.list(keys.resume_folder(MEMBER))) == {keys.resume_pointer(MEMBER), tensors_key(3), tensors_key(4)}
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(4))


def test_only_safetensors_and_json_are_written(store):
    for step in (1, 2):
        checkpoint.save(store, MEMBER, state(step))
    for key in store.list(keys.resume_folder(MEMBER)):
        data = store.read(key)
        if key.endswith(".json"):
            json.loads(data)
        else:
            header = int.from_bytes(data[:8], "little")
            assert key.endswith(".safetensors")
            assert json.loads(data[8:8 + header])["model.weight"]["dtype"] == "F32"


DAMAGES = {
    "truncated": lambda data: data[:len(data) // 2],
    "empty": lambda data: b"",
    "altered": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "altered header": lambda data: b"\xff" * 8 + data[8:],
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damaged_newest_gives_the_one_before_with_a_warning(store, warnings_told, damage):
    for step in (1, 2):
        checkpoint.save(store, MEMBER, state(step))
    store.write(tensors_key(2), DAMAGES[damage](store.read(tensors_key(2))))
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(1))
    assert len(warnings_told) == 1
    assert tensors_key(2) in warnings_told[0]


def test_missing_newest_gives_the_one_before_with_a_warning(store, warnings_told):
    for step in (1, 2):
        checkpoint.save(store, MEMBER, state(step))
    store.delete(tensors_key(2))
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(1))
    assert len(warnings_told) == 1


def test_two_damaged_ones_are_none_with_two_warnings(store, warnings_told):
    for step in (1, 2):
        checkpoint.save(store, MEMBER, state(step))
        store.write(tensors_key(step), b"x")
    assert checkpoint.newest(store, MEMBER, warnings_told.append) is None
    assert len(warnings_told) == 2


def test_saving_goes_on_after_damage(store, warnings_told):
    for step in (1, 2):
        checkpoint.save(store, MEMBER, state(step))
    store.write(tensors_key(2), b"x")
    checkpoint.save(store, MEMBER, state(2))  # the training that resumed at step 1 came to step 2 again
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(2))
    store.write(tensors_key(2), b"x")
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(1))


@pytest.mark.parametrize("pointer", [
    b"", b"{", b"\xff\xfe", b"null", b"[]", b"[1]", b"{}", b'{"checkpoints": 3}', b'{"checkpoints": [3]}',
    b'{"checkpoints": [{}]}', b'{"checkpoints": [{"step": "x", "sha256": "0", "counters": {}}]}',
    b'{"checkpoints": [{"step": 2, "sha256": "0", "counters": 3}]}'])
def test_damaged_pointer_is_none_and_does_not_hinder_saving(store, warnings_told, pointer):
    checkpoint.save(store, MEMBER, state(2))
    store.write(keys.resume_pointer(MEMBER), pointer)
    assert checkpoint.newest(store, MEMBER, warnings_told.append) is None
    checkpoint.save(store, MEMBER, state(3))
    assert equal(checkpoint.newest(store, MEMBER, warnings_told.append), state(3))


def test_discard_leaves_what_is_not_for_resuming(store, warnings_told):
    checkpoint.save(store, MEMBER, state(1))
    store.write(keys.member_record(MEMBER), b"{}")
    checkpoint.discard(store, MEMBER)
    assert checkpoint.newest(store, MEMBER, warnings_told.append) is None
    assert list(store.list(keys.member_folder(MEMBER))) == [keys.member_record(MEMBER)]
