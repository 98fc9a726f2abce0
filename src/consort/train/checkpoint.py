"""The newest two states of a member that is training, in `members/<id>/resume/`; safetensors and JSON only."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from consort.documents import canonical_json, sha256
from consort.errors import MissingKey
from consort.store import Store, keys

KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """A state to go on from. Random numbers need none: they are drawn from (seed, step)."""

    step: int
    """Steps done."""
    tensors: dict[str, Tensor]
    """`model.*`, `momentum.*` and, where there is one, `ema.*`."""
    counters: dict
    """What else the training counts: attempts, seconds, ..."""


def save(store: Store, member_id: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the pointer to it is written last, then the oldest is deleted."""
    data = safetensors.torch.save(checkpoint.tensors)
    store.write(_tensors_key(member_id, checkpoint.step), data)
    entry = {"step": checkpoint.step, "sha256": sha256(data), "counters": checkpoint.counters}
    entries = [entry, *(e for e in _pointer(store, member_id) if e["step"] < checkpoint.step)]
    store.write(keys.resume_pointer(member_id), canonical_json({"checkpoints": entries[:KEEP]}).encode())
    kept = {_tensors_key(member_id, e["step"]) for e in entries[:KEEP]} | {keys.resume_pointer(member_id)}
    for key in [k for k in store.list(keys.resume_folder(member_id)) if k not in kept]:
        store.delete(key)


def newest(store: Store, member_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose bytes are what was written, or None; `warn` is told of each damaged one."""
    for entry in _pointer(store, member_id):
        key = _tensors_key(member_id, entry["step"])
        try:
            data = store.read(key)
            if sha256(data) == entry["sha256"]:
                return Checkpoint(entry["step"], safetensors.torch.load(data), entry["counters"])
            warn(f"{key} is damaged (its sha256 differs); the one before it is used")
        except (MissingKey, SafetensorError) as e:
            warn(f"{key} cannot be used: {e}; the one before it is used")
    return None


def discard(store: Store, member_id: str) -> None:
    """Delete what only a training in progress needs."""
    store.delete(keys.resume_folder(member_id))


def _tensors_key(member_id: str, step: int) -> str:
    return keys.checkpoint_file(member_id, step, "checkpoint.safetensors")


def _pointer(store: Store, member_id: str) -> list[dict]:
    """The checkpoints that the pointer names, newest first; none where it is damaged: the training starts again."""
    try:
        entries = json.loads(store.read(keys.resume_pointer(member_id)))["checkpoints"]
        return [{"step": int(e["step"]), "sha256": str(e["sha256"]), "counters": dict(e["counters"])} for e in entries]
    except (MissingKey, ValueError, KeyError, TypeError):
        return []
