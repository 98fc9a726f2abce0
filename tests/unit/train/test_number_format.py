"""What "auto" means for a training: measured once for an architecture, then what the store says."""

from pathlib import Path

import pytest
import torch

from consort import hardware
from consort.data.prepared import DataManifest, Prepared
from consort.documents import from_json
from consort.events import Event, Warned
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.recipe import Recipe
from consort.train import number_format
from consort.train.number_format import FormatRecord, format_of, measure_format
from consort.train.process import Process

DEPTHWISE = "mobilenet_v3_small"
"""It has dropout too."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Prepared data of which only the size of the images and the classes count, on hardware with bfloat16."""
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: True)
    manifest = DataManifest("digits", "arrays", ["a", "b"], {"train": 8}, [8, 8], [0.0], [1.0], {})
    return Prepared(FolderStore(tmp_path), "0123456789ab", manifest, tmp_path)


def spec(architecture: str = DEPTHWISE, seed: int = 0, **recipe: object) -> MemberSpec:
    return MemberSpec(architecture, "0123456789ab", Recipe(batch_size=4, **recipe), seed)


def measure(data: Prepared, member: MemberSpec, captured: bool = False) -> list[Event]:
    """Measure the format of the member's architecture, where that is open; what was told."""
    told: list[Event] = []
    measure_format(data.store, member, data, Process(), told.append, captured)
    return told


def record_of(data: Prepared) -> FormatRecord:
    (key,) = data.store.list(keys.LATENCIES)
    return from_json(FormatRecord, data.store.read(key), key)


def steps_take(monkeypatch: pytest.MonkeyPatch, bfloat16_ms: float) -> None:
    times = {"float32": [10.0] * 3, "bfloat16": [bfloat16_ms] * 3}
    monkeypatch.setattr(number_format, "times_ms", lambda *_: times)


def test_both_formats_are_timed_and_the_faster_one_is_kept(data: Prepared) -> None:
    drawn = torch.get_rng_state()
    assert measure(data, spec(ema=0.9)) == []
    assert torch.equal(drawn, torch.get_rng_state())
    record = record_of(data)
    assert (record.architecture, record.input, record.batch_size) == (DEPTHWISE, "8x8", 4)
    assert record.runtime == "torch"
    assert min(record.float32_ms, record.bfloat16_ms) > 0
    assert record.precision == ("float32" if record.bfloat16_ms > 1.1 * record.float32_ms else "bfloat16")


@pytest.mark.parametrize(("bfloat16_ms", "expected"), [(5.0, "bfloat16"), (10.9, "bfloat16"), (14.0, "float32")])
def test_it_is_measured_once_for_all_members_of_an_architecture(data, monkeypatch, bfloat16_ms, expected) -> None:
    steps_take(monkeypatch, bfloat16_ms)
    assert format_of(data.store, spec(), data) == "auto"
    measure(data, spec())
    steps_take(monkeypatch, 20.0 - bfloat16_ms)
    measure(data, spec(seed=1, epochs=3))
    assert format_of(data.store, spec(seed=2), data) == expected


@pytest.mark.parametrize("member", [
    spec(precision="float32"), spec(precision="bfloat16"), spec("wrn-10-1"), spec("net-s-w4d1k3-w4d1k3-w4d1k3")])
def test_what_is_settled_is_not_measured(data, monkeypatch, member) -> None:
    monkeypatch.setattr(number_format, "times_ms", None)
    measure(data, member)
    assert list(data.store.list(keys.LATENCIES)) == []
    assert format_of(data.store, member, data) == member.recipe.precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU has bfloat16")
def test_hardware_without_bfloat16_has_nothing_to_choose(data, monkeypatch) -> None:
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: False)
    monkeypatch.setattr(number_format, "times_ms", None)
    measure(data, spec())
    assert list(data.store.list(keys.LATENCIES)) == [] and format_of(data.store, spec(), data) == "auto"


@pytest.mark.parametrize(("error", "words"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."), "Tried to allocate 2.00 GiB.)"),
    (RuntimeError("CUDA error: misaligned address"), "misaligned address)"), (RuntimeError(), "(RuntimeError)")])
def test_what_cannot_be_timed_now_is_bfloat16_and_is_tried_again(data, monkeypatch, error, words) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(number_format, "times_ms", fails)
    (told,) = measure(data, spec())
    assert isinstance(told, Warned) and told.member == spec().id and told.text.endswith(words)
    assert "trains in bfloat16" in told.text and format_of(data.store, spec(), data) == "auto"
    steps_take(monkeypatch, 14.0)
    assert measure(data, spec()) == [] and format_of(data.store, spec(), data) == "float32"


def test_each_gpu_has_its_own_format_and_so_has_the_processor(monkeypatch) -> None:
    described = [number_format._described()]
    monkeypatch.setattr(compute, "choose", lambda precision: compute.Compute(torch.device("cuda", 0), "bfloat16"))
    for name in ("NVIDIA H100", "NVIDIA H200"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        described.append(number_format._described())
    assert [one["gpu"] for one in described[1:]] == ["NVIDIA H100", "NVIDIA H200"]
    assert len({hardware.hardware_id(one) for one in described}) == 3


@pytest.mark.cuda
@pytest.mark.parametrize(("architecture", "captured", "runtime"), [
    ("shufflenet_v2_x0_5", True, "graph"), ("shufflenet_v2_x0_5", False, "torch"), (DEPTHWISE, True, "torch")])
def test_on_a_gpu_steps_are_timed_as_members_make_them(data, architecture, captured, runtime) -> None:
    """Replayed in packs, and launched from Python elsewhere and where they draw random numbers; the memory is free
    again."""
    torch.zeros(1, device="cuda")
    compute.free_memory()
    before, drawn = torch.cuda.memory_reserved(), torch.cuda.get_rng_state()
    assert measure(data, spec(architecture), captured) == []
    record = record_of(data)
    assert min(record.float32_ms, record.bfloat16_ms) > 0 and record.runtime == runtime
    assert record.hardware["gpu"] == torch.cuda.get_device_name()
    assert torch.cuda.memory_reserved() <= before + 2**21 and torch.equal(drawn, torch.cuda.get_rng_state())


@pytest.mark.cuda
def test_a_full_gpu_leaves_bfloat16_and_nothing_behind(data, monkeypatch) -> None:
    def full(*passes: object) -> None:
        torch.empty(2**50, device="cuda")

    monkeypatch.setattr(number_format, "times_ms", full)
    torch.zeros(1, device="cuda")
    compute.free_memory()
    before = torch.cuda.memory_reserved()
    (told,) = measure(data, spec("shufflenet_v2_x0_5"), captured=True)
    assert isinstance(told, Warned) and "out of memory" in told.text
    assert torch.cuda.memory_reserved() <= before + 2**21
