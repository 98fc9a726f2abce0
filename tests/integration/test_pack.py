"""A pack makes of each of its members what the loop makes of it alone, whatever the others are and do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from small_members import BASE, STEPS_PER_EPOCH, Events, World, after_steps, into, train_quietly

from consort import hardware, members
from consort.data import resident
from consort.errors import Busy, ConsortError, InputError, MemberFailed, Stopped, Terminated
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.store import keys
from consort.train import pace, pack
from consort.train.lane import Lane
from consort.train.pace_estimate import pack_speed
from consort.train.settings import Settings
from consort.train.step import parts, train_members, train_together

EVERYTHING = BASE | {"ema": 0.9, "cutout": 3, "label_smoothing": 0.1, "schedule": "step", "milestones": [0.3, 0.6],
                     "flip": True}
NO_MOMENTUM = BASE | {"momentum": 0, "precision": "float32"}
DIFFERENT = [("wrn-10-1", BASE, 0), ("wrn-10-1", BASE, 1), ("wrn-10-2", BASE | {"batch_size": 20}, 0),
             ("wrn-10-1", EVERYTHING, 0), ("wrn-10-1", NO_MOMENTUM, 0),
             ("mobilenet_v3_small", BASE | {"epochs": 1, "precision": "float32"}, 0)]
"""Members of other seeds, widths, batch sizes, recipes and lengths; the last has dropout."""


@pytest.fixture(scope="module")
def alone(new_world: Callable[[], World]) -> tuple[World, list[MemberSpec]]:
    """Each of the members trained by itself, by the loop."""
    world = new_world()
    specs = [world.spec(recipe, seed, architecture) for architecture, recipe, seed in DIFFERENT]
    for spec in specs:
        train_quietly(world, spec)
    return world, specs


def planned(new_world: Callable[[], World], specs: list[MemberSpec]) -> World:
    world = new_world()
    members.write_specs(world.store, specs)
    return world


def train_pack(world: World, specs: list[MemberSpec], **settings: Any
               ) -> tuple[Mapping[str, MemberRecord | ConsortError], Events]:
    """Train a pack in this process: how each member ended, and the events."""
    ends: dict[str, MemberRecord | ConsortError] = {}
    events: Events = []

    def ended(spec: MemberSpec, outcome: MemberRecord | ConsortError) -> None:
        assert spec.id not in ends
        ends[spec.id] = outcome

    train_together(world.store, specs, world.data, Settings(**{"deterministic": True} | settings),
                   into(events), ended)
    return ends, events


def assert_same(world: World, alone: World, specs: list[MemberSpec]) -> None:
    for spec in specs:
        assert world.files(spec) == alone.files(spec), spec.id


def test_members_of_a_pack_have_the_bits_of_those_trained_alone(new_world, alone) -> None:
    whole, specs = alone
    world = planned(new_world, specs)
    ends, _ = train_pack(world, specs)
    assert list(ends) == [s.id for s in sorted(specs, key=lambda s: s.recipe.epochs * (160 // s.recipe.batch_size))]
    assert_same(world, whole, specs)
    assert {world.record(s).side_by_side for s in specs} == {len(specs)}
    assert [world.record(s).train_loss for s in specs] == [whole.record(s).train_loss for s in specs]


def test_a_pack_of_one_is_that_member(new_world, alone) -> None:
    whole, specs = alone
    world = planned(new_world, specs[:1])
    train_pack(world, specs[:1])
    assert_same(world, whole, specs[:1])


@pytest.mark.parametrize("block", [1, 3, 512])
def test_the_length_of_a_block_changes_nothing(new_world, alone, monkeypatch, block) -> None:
    whole, specs = alone
    monkeypatch.setattr(pack, "FIRST_STEPS", block)
    world = planned(new_world, specs[:3])
    train_pack(world, specs[:3], checkpoint_steps=7)
    assert_same(world, whole, specs[:3])


def test_a_pack_is_put_together_differently_after_an_interruption(new_world, alone) -> None:
    """Members then begin at different steps: 4, 8 and 0."""
    whole, specs = alone
    first, second, third, *_ = specs
    world = planned(new_world, specs)
    ends, events = train_pack(world, [first, second], stop=after_steps(4))
    assert all(isinstance(e, Terminated) and "step 4 is saved" in str(e) for e in ends.values())
    assert [(e["event"], e["step"]) for e in events if e["event"] == "checkpoint"] == [("checkpoint", 4)] * 2
    with pytest.raises(Terminated):
        train_quietly(world, second, stop=after_steps(4))
    ends, events = train_pack(world, [third, second, first])
    assert [(e["member"], e["step"]) for e in events if e["event"] == "resumed"] == [(second.id, 8), (first.id, 4)]
    assert_same(world, whole, specs[:3])
    assert [world.record(s).attempts for s in specs[:3]] == [2, 3, 1]


def test_a_pack_interrupted_after_the_last_step_only_writes(new_world, alone) -> None:
    whole, (spec, *_) = alone
    world = planned(new_world, [spec])
    train_pack(world, [spec], stop=after_steps(STEPS_PER_EPOCH * BASE["epochs"]))
    assert members.read_record(world.store, spec.id) is None
    train_pack(world, [spec])
    assert_same(world, whole, [spec])


def test_a_loss_that_is_not_finite_ends_one_member_at_its_first_bad_step(new_world, alone) -> None:
    whole, (good, other, *_) = alone
    world = planned(new_world, [good, other])
    bad = world.spec(BASE | {"learning_rate": 1e12})
    with pytest.raises(MemberFailed) as by_itself:
        train_quietly(planned(new_world, [bad]), bad)
    ends, _ = train_pack(world, [good, bad, other], checkpoint_steps=1)
    assert str(ends[bad.id]) == str(by_itself.value)
    assert members.read_failure(world.store, bad.id) == str(by_itself.value)
    assert list(world.store.list(keys.resume_folder(bad.id))) == []
    assert_same(world, whole, [good, other])


def test_progress_says_how_many_still_train(new_world, monkeypatch) -> None:
    """After the shorter one has left; the record has the pack as it began."""
    world = new_world()
    short, long = world.spec(BASE | {"epochs": 1}), world.spec(BASE)
    monkeypatch.setattr(pace, "PROGRESS_SECONDS", 0.0)
    _, events = train_pack(world, [short, long])
    told = [(e["step"] > STEPS_PER_EPOCH, e.get("side_by_side", 1)) for e in events if e["event"] == "progress"]
    assert set(told) == {(False, 2), (True, 1)}
    assert world.record(long).side_by_side == 2


def test_what_is_done_or_trained_elsewhere_is_left_alone(new_world, alone) -> None:
    whole, (first, second, third, *_) = alone
    world = planned(new_world, [first, second, third])
    done, _ = train_quietly(world, first)
    with world.store.lock(keys.member_lock(second.id)):
        ends, _ = train_pack(world, [first, second, third])
    assert ends[first.id] == done and isinstance(ends[second.id], Busy)
    assert_same(world, whole, [third])
    assert world.record(third).side_by_side == 1


def test_epochs_are_told_and_may_end_the_training(new_world, alone) -> None:
    _, (spec, *_) = alone
    world = planned(new_world, [spec])
    seen: list[int] = []

    def after_epoch(epoch: int, accuracy: float) -> None:
        assert 0 <= accuracy <= 1
        seen.append(epoch)
        if epoch == 2:
            raise Stopped("enough")

    ends, _ = train_pack(world, [spec], after_epoch=after_epoch)
    assert isinstance(ends[spec.id], Stopped) and seen == [1, 2]
    ends, events = train_pack(world, [spec])
    assert [e["step"] for e in events if e["event"] == "resumed"] == [2 * STEPS_PER_EPOCH]
    assert isinstance(ends[spec.id], MemberRecord)


def short_of_memory(most: int) -> Callable[..., None]:
    """`pack.run` on a device that holds `most` members."""
    real = pack.run

    def run(opened: list, ended: Callable) -> None:
        if len(opened) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        real(opened, ended)
    return run


def test_a_pack_that_does_not_fit_is_halved(new_world, alone, monkeypatch) -> None:
    whole, specs = alone
    world = planned(new_world, specs[:3])
    monkeypatch.setattr(pack, "run", short_of_memory(1))
    _, events = train_pack(world, specs[:3])
    assert [e["text"].split(": ")[1] for e in events if e["event"] == "warning"] == ["2 at a time"] * 3 + \
        ["1 at a time"] * 2
    assert_same(world, whole, specs[:3])


def test_a_member_that_does_not_fit_alone_is_refused(new_world, alone, monkeypatch) -> None:
    _, (spec, *_) = alone
    monkeypatch.setattr(pack, "run", short_of_memory(0))
    ends, _ = train_pack(planned(new_world, [spec]), [spec])
    assert isinstance(ends[spec.id], InputError) and "batch_size" in str(ends[spec.id])


def test_a_pack_that_does_not_fit_any_more_goes_on_from_where_it_is(new_world, alone, monkeypatch) -> None:
    """One of three ends, and when the others are captured anew another process has taken the memory."""
    whole, (first, second, *_) = alone
    world = planned(new_world, [first, second])
    short = world.spec(BASE | {"epochs": 1})
    replay, capture = pack._Pack._replay, pack.capture

    def full_of_two(lanes: Sequence[Lane]) -> torch.cuda.CUDAGraph:
        if len(lanes) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return capture(lanes)

    def without_room_for_two(of: Any) -> Callable[[int], None]:
        if len(of.lanes) == 2:
            of._captured()
        return replay(of)

    monkeypatch.setattr(pack, "capture", full_of_two)
    monkeypatch.setattr(pack._Pack, "_replay", without_room_for_two)
    ends, events = train_pack(world, [first, short, second])
    assert isinstance(ends[short.id], MemberRecord)
    assert [(e["member"], e["step"]) for e in events if e["event"] == "resumed"] == [
        (first.id, STEPS_PER_EPOCH), (second.id, STEPS_PER_EPOCH)]
    assert_same(world, whole, [first, second])


def test_a_member_that_goes_on_elsewhere_says_so_and_its_record_too(new_world, alone, monkeypatch) -> None:
    _, (spec, *_) = alone
    world = planned(new_world, [spec])
    there = {"device": "another", "torch": "1"}
    monkeypatch.setattr(compute, "machine", lambda place: there)
    train_pack(world, [spec], stop=after_steps(4))
    monkeypatch.undo()
    ends, events = train_pack(world, [spec])
    (warning,) = [e for e in events if e["event"] == "warning"]
    assert "it goes on elsewhere than it began (torch 1 -> " in warning["text"]
    end = ends[spec.id]
    assert isinstance(end, MemberRecord) and end.machines == [there, compute.machine(compute.choose("auto"))]


def test_a_gpu_that_is_asked_for_and_cannot_be_used_ends_every_member(new_world, alone, monkeypatch) -> None:
    """Instead of days on the processor, in silence."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and it can be used")
    _, (first, second, *_) = alone
    world = planned(new_world, [first, second])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    ends: list[ConsortError | MemberRecord] = []
    train_members(world.store, [first, second], world.data, Settings(), into([]), lambda spec, end: ends.append(end))
    assert len(ends) == 2
    for end in ends:
        assert isinstance(end, InputError) and "CUDA_VISIBLE_DEVICES= (empty) uses the processor" in str(end)


def test_a_network_that_cannot_be_built_ends_its_own_members_and_no_others(new_world, monkeypatch) -> None:
    """Such as one of a library that is missing here; neither its number format nor its packs are asked for in vain."""
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: True)
    world = new_world()
    good = world.spec(BASE | {"epochs": 1}, 0, "wrn-10-1")
    bad = MemberSpec("no-such-network", good.data, good.recipe, 0)
    members.write_specs(world.store, [bad, good])
    ends: dict[str, ConsortError | MemberRecord] = {}
    train_members(world.store, [bad, good], world.data, Settings(), into([]),
                  lambda spec, end: ends.update({spec.id: end}))
    assert isinstance(ends[bad.id], ConsortError) and isinstance(ends[good.id], MemberRecord)
    packed: list[MemberSpec] = []
    assert parts([bad, good], world.data, None, lambda spec, end: packed.append(spec)) == [[good]]
    assert packed == [bad]


def test_the_speed_of_a_pack_is_estimated_by_some_of_its_steps(new_world, alone, monkeypatch) -> None:
    _, specs = alone
    world = planned(new_world, specs[:2])
    speed = pack_speed(world.store, specs[:2], world.data, Settings())
    assert speed is not None and speed.images_per_second > 0 and not speed.compiled
    assert list(world.store.list(keys.member_folder(specs[0].id))) == []

    def full(self: object, steps: int) -> None:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")

    monkeypatch.setattr(Lane, "send", full)
    with pytest.raises(RuntimeError, match="ALLOC_FAILED"):
        pack_speed(world.store, specs[:2], world.data, Settings())


@pytest.mark.parametrize("lacking", ["", "there is no C compiler here"])
def test_it_is_that_of_compiled_networks_where_they_can_be_compiled(new_world, alone, monkeypatch, lacking) -> None:
    _, specs = alone
    monkeypatch.setattr(compute, "lacks_compiler", lambda place: lacking)
    compiled: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: compiled.append(forward) or forward)
    speed = pack_speed(planned(new_world, specs[:2]).store, specs[:2], alone[0].data, Settings(compile=True))
    assert speed.compiled == (not lacking) and len(compiled) == (0 if lacking else 2)


def test_a_compiler_that_fails_is_said_and_changes_nothing(new_world, alone, monkeypatch) -> None:
    def fails(*inputs: object) -> None:
        raise RuntimeError("Python.h: No such file")

    whole, (spec, *_) = alone
    world = planned(new_world, [spec])
    monkeypatch.setattr(compute, "lacks_compiler", lambda place: "")
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: fails)
    ends, events = train_pack(world, [spec], compile=True)
    assert [e["text"] for e in events if e["event"] == "warning"] == [
        "compile = true, but compiling failed (Python.h: No such file): it trains without"]
    assert not ends[spec.id].compiled
    assert_same(world, whole, [spec])
    assert not pack_speed(new_world().store, [spec], whole.data, Settings(compile=True)).compiled


def test_streamed_images_and_images_larger_than_the_memory_are_brought_by_a_loader(world: World, monkeypatch) -> None:
    assert resident.fits(world.data, torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * world.data.images("train").nbytes, 0))
    assert resident.fits(world.data, torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * world.data.images("train").nbytes - 1, 0))
    assert not resident.fits(world.data, torch.device("cuda"))
