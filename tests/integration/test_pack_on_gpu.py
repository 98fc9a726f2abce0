"""Packs on a GPU: what is captured makes the bits of the loop, and what cannot be captured still trains."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from small_members import BASE, Events, World, after_steps, into
from test_pack import DIFFERENT, EVERYTHING, NO_MOMENTUM, assert_same, planned, train_pack
from torch import Tensor

from consort.data.resident import bring
from consort.errors import ConsortError, Terminated
from consort.events import unheard
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.store import keys
from consort.train import graph, loop, pack
from consort.train.lane import Lane
from consort.train.member import Member
from consort.train.pace_estimate import pack_speed
from consort.train.settings import Settings

pytestmark = pytest.mark.cuda
CAPTURABLE = DIFFERENT[:-1]
WITH_DROPOUT = DIFFERENT[-1]


def opened(world: World, spec: MemberSpec) -> Member:
    compute.use_determinism(True)
    return Member(world.store, spec, world.data, Settings(deterministic=True), unheard)


def not_records(ends: dict[str, Any]) -> dict[str, str]:
    """The ends of members that are not done."""
    return {member: repr(end) for member, end in ends.items() if not isinstance(end, MemberRecord)}


def launched(events: Events) -> Events:
    """Of members that are not captured. What an average of weights is worth is a warning too, by its figures."""
    return [e for e in events if e["event"] == "warning" and "launched from Python" in e["text"]]


@pytest.fixture(scope="module")
def looped(new_world: Callable[[], World]) -> tuple[World, list[MemberSpec]]:
    """Each member by itself, launched from Python step by step, its batches assembled on the processor."""
    world = new_world()
    specs = [world.spec(recipe, seed, architecture) for architecture, recipe, seed in CAPTURABLE]
    for spec in specs:
        member = opened(world, spec)
        loop.run(member)
        member.finish()
    return world, specs


def test_a_captured_pack_makes_the_bits_of_the_loop(new_world, looped) -> None:
    whole, specs = looped
    world = planned(new_world, specs)
    ends, events = train_pack(world, specs)
    assert launched(events) == []
    assert not_records(ends) == {} and all(end.deterministic for end in ends.values())
    assert_same(world, whole, specs)


def test_an_interrupted_pack_put_together_differently_makes_them_too(new_world, looped) -> None:
    whole, specs = looped
    world = planned(new_world, specs)
    ends, _ = train_pack(world, specs[:2], stop=after_steps(4))
    assert all(isinstance(end, Terminated) for end in ends.values())
    train_pack(world, specs[1:])
    train_pack(world, specs[:1])
    assert_same(world, whole, specs)


@pytest.mark.parametrize("recipe", [BASE, EVERYTHING, NO_MOMENTUM], ids=["plain", "everything", "no momentum"])
def test_capturing_leaves_the_member_as_it_was(world: World, recipe: dict) -> None:
    member = opened(world, world.spec(recipe))
    member.state.network.train()
    lane = Lane(member, bring(world.data, member.compute.device))
    lane.draw(0, 0)
    lane.send(1)
    before = lane.copied()
    replayed = graph.capture([lane])
    assert lane.place.item() == 0
    after = member.state.tensors()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    replayed.replay()
    assert lane.place.item() == 1 and lane.read(1)[0] == pytest.approx(2.3, abs=1)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_dropout_is_launched_from_python_and_the_others_are_captured(new_world, looped) -> None:
    whole, specs = looped
    world = planned(new_world, specs[:2])
    architecture, recipe, seed = WITH_DROPOUT
    dropout = world.spec(recipe, seed, architecture)
    ends, events = train_pack(world, [*specs[:2], dropout])
    (warning,) = launched(events)
    assert warning["member"] == dropout.id and "draws random numbers" in warning["text"]
    assert isinstance(ends[dropout.id], MemberRecord)
    assert_same(world, whole, specs[:2])


def test_what_cuda_refuses_to_capture_trains_all_the_same(new_world, looped) -> None:
    whole, (spec, *_) = looped
    world = planned(new_world, [spec])
    member = opened(world, spec)
    events: Events = []
    member.listen = into(events)
    network = member.state.network

    def looks_at_its_input(x: Tensor) -> Tensor:
        return network(x if x.abs().max().item() > 0 else -x)

    member.state.forward = looks_at_its_input
    ends: list[ConsortError | None] = []
    pack.run([member], lambda ended, error: ends.append(error))
    assert ends == [None] and member.step == member.steps
    (warning,) = [e for e in events if e["event"] == "warning"]
    assert "cannot capture" in warning["text"]
    torch.cuda.empty_cache()  # it would fail if the allocator still believed in the capture
    member.finish()
    assert_same(world, whole, [spec])


@pytest.mark.parametrize("recipe", [BASE, EVERYTHING], ids=["plain", "everything"])
def test_batches_that_a_loader_sends_ahead_are_those_of_the_images_on_the_gpu(world: World, recipe: dict) -> None:
    member = opened(world, world.spec(recipe))
    resident = bring(world.data, member.compute.device)
    steps = 0
    for step, (x, y) in enumerate(member.batches.from_step(2, 9), 2):
        choices = torch.from_numpy(member.batches.choices(step)).to(member.compute.device)
        expected, labels = member.batches.assemble(resident.images, resident.labels, choices)
        assert x.device == expected.device and torch.equal(x, expected) and torch.equal(y, labels)
        steps += 1
    assert steps == 7


def test_the_speed_of_a_pack_is_estimated_by_its_graph(world: World) -> None:
    specs = [world.spec(BASE, seed) for seed in range(3)]
    speed = pack_speed(world.store, specs, world.data, Settings())
    assert speed is not None and speed.images_per_second > 0
    assert all(list(world.store.list(keys.member_folder(spec.id))) == [] for spec in specs)


def test_a_capture_that_runs_out_of_memory_leaves_nothing_behind(world: World, monkeypatch) -> None:
    member = opened(world, world.spec(BASE))
    member.state.network.train()
    lane = Lane(member, bring(world.data, member.compute.device))
    lane.draw(0, 0)
    lane.send(1)
    step, taken = lane.step, []

    def step_and_one_allocation_too_much() -> None:
        step()
        if torch.cuda.is_current_stream_capturing():
            taken.append(torch.zeros(2**26, device=member.compute.device))
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(lane, "step", step_and_one_allocation_too_much)
    with pytest.raises(torch.OutOfMemoryError):
        graph.capture([lane])
    monkeypatch.undo()
    member.state.drop_gradients()
    gc.collect()  # the error's frames hold the graph
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    taken.clear()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before - 2**28
    graph.capture([lane]).replay()
    assert lane.place.item() == 1


def test_without_determinism_an_interrupted_pack_goes_on(new_world: Callable[[], World]) -> None:
    world = new_world()
    specs = [world.spec(BASE, seed) for seed in range(3)]
    train_pack(world, specs, stop=after_steps(4), deterministic=None)
    ends, events = train_pack(world, specs, deterministic=None)
    assert [e["step"] for e in events if e["event"] == "resumed"] == [4] * 3
    for end in ends.values():
        assert isinstance(end, MemberRecord) and not end.deterministic
        assert end.machines[0]["device"] == torch.cuda.get_device_name()


def test_a_training_that_was_begun_on_another_gpu_says_so(new_world: Callable[[], World], monkeypatch) -> None:
    world = new_world()
    spec = world.spec(BASE)
    monkeypatch.setattr(compute, "machine", lambda place: {"device": "another", "torch": "1"})
    train_pack(world, [spec], stop=after_steps(4))
    monkeypatch.undo()
    ends, events = train_pack(world, [spec])
    (warning,) = [e for e in events if e["event"] == "warning"]
    assert "device another -> " in warning["text"]
    assert [m["device"] for m in ends[spec.id].machines] == ["another", torch.cuda.get_device_name()]


@pytest.fixture
def little_memory() -> Iterator[None]:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1.2 * 2**30) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_more_members_than_fit_are_halved(new_world: Callable[[], World], little_memory: None) -> None:
    world = new_world()
    specs = [world.spec(BASE | {"epochs": 1}, seed, "wrn-16-8") for seed in range(8)]
    ends, events = train_pack(world, specs)
    assert not_records(ends) == {} and len(ends) == 8
    assert any("8 members do not fit into the GPU's memory together: 4 at a time" in e["text"] for e in events
               if e["event"] == "warning")


@pytest.mark.filterwarnings("default")  # importing torch's compiler warns of what it uses itself
def test_a_compiled_member_trains_and_says_that_it_was(new_world: Callable[[], World]) -> None:
    place = compute.choose("auto")
    if compute.lacks_compiler(place):
        pytest.skip(compute.lacks_compiler(place))
    world = new_world()
    spec = world.spec(BASE)
    ends, events = train_pack(world, [spec], compile=True, deterministic=None)
    assert isinstance(ends[spec.id], MemberRecord) and ends[spec.id].compiled
    assert [e for e in events if e["event"] == "warning"] == []
