"""What "auto" means for a training: measured once for an architecture, then what the store says."""

from pathlib import Path

import pytest
import torch

from consort import hardware
from consort.data.prepared import DataManifest, Prepared
from consort.documents import from_json
from consort.members.spec import MemberSpec
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.recipe import Recipe
from consort.train import number_format
from consort.train.number_format import FormatRecord, format_of, measure_format
from consort.train.process import Process

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU it is bfloat16")
DEPTHWISE = "mobilenet_v3_small"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Prepared data of which only the size of the images and the classes count, on hardware with bfloat16."""
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: True)
    manifest = DataManifest("digits", "arrays", ["a", "b"], {"train": 8}, [8, 8], [0.0], [1.0], {})
    return Prepared(FolderStore(tmp_path), "0123456789ab", manifest, tmp_path)


def spec(architecture: str = DEPTHWISE, seed: int = 0, **recipe: object) -> MemberSpec:
    return MemberSpec(architecture, "0123456789ab", Recipe(batch_size=4, **recipe), seed)


def steps_take(monkeypatch: pytest.MonkeyPatch, bfloat16_ms: float) -> None:
    times = {"float32": [10.0] * 3, "bfloat16": [bfloat16_ms] * 3}
    monkeypatch.setattr(number_format, "times_ms", lambda *_: times)


def test_both_formats_are_timed_and_the_faster_one_is_kept(data: Prepared) -> None:
    drawn = torch.get_rng_state()
    measure_format(data.store, spec(), data, Process())
    assert torch.equal(drawn, torch.get_rng_state())
    (key,) = data.store.list(keys.LATENCIES)
    record = from_json(FormatRecord, data.store.read(key), key)
    assert (record.architecture, record.input, record.batch_size) == (DEPTHWISE, "8x8", 4)
    assert min(record.float32_ms, record.bfloat16_ms) > 0
    assert record.precision == ("float32" if record.bfloat16_ms > 1.1 * record.float32_ms else "bfloat16")


@pytest.mark.parametrize(("bfloat16_ms", "expected"), [(5.0, "bfloat16"), (10.9, "bfloat16"), (14.0, "float32")])
def test_it_is_measured_once_for_all_members_of_an_architecture(data, monkeypatch, bfloat16_ms, expected) -> None:
    steps_take(monkeypatch, bfloat16_ms)
    assert format_of(data.store, spec(), data) == "auto"
    measure_format(data.store, spec(), data, Process())
    steps_take(monkeypatch, 20.0 - bfloat16_ms)
    measure_format(data.store, spec(seed=1, epochs=3), data, Process())
    assert format_of(data.store, spec(seed=2), data) == expected


@pytest.mark.parametrize("member", [
    spec(precision="float32"), spec(precision="bfloat16"), spec("wrn-10-1"), spec("net-s-w4d1k3-w4d1k3-w4d1k3")])
def test_what_is_settled_is_not_measured(data, monkeypatch, member) -> None:
    monkeypatch.setattr(number_format, "times_ms", None)
    measure_format(data.store, member, data, Process())
    assert list(data.store.list(keys.LATENCIES)) == []
    assert format_of(data.store, member, data) == member.recipe.precision


def test_hardware_without_bfloat16_has_nothing_to_choose(data, monkeypatch) -> None:
    monkeypatch.setattr(hardware, "native_bfloat16", lambda: False)
    monkeypatch.setattr(number_format, "times_ms", None)
    measure_format(data.store, spec(), data, Process())
    assert list(data.store.list(keys.LATENCIES)) == [] and format_of(data.store, spec(), data) == "auto"
