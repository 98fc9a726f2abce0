"""Where processes of a run execute on this machine."""

from consort import hardware
from consort.local.commands import places
from consort.study.execution import RunSettings
from gpu_nodes import gpu_node


def test_a_gpu_has_one_pack_or_some_trials(monkeypatch, tmp_path) -> None:
    gpu_node(monkeypatch, tmp_path, reachable=2)
    settings = RunSettings(members_per_gpu=3)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in places(None, settings, for_members=True)] == ["0", "1"]
    assert [place["CUDA_VISIBLE_DEVICES"] for place in places(None, settings)] == ["0", "1"] * 3


def test_a_pod_without_a_gpu_names_none_of_its_node(monkeypatch, tmp_path) -> None:
    gpu_node(monkeypatch, tmp_path)
    monkeypatch.setattr(hardware, "cores", lambda: 3)
    found = places(None, RunSettings(), for_members=True)
    assert len(found) == 3 and not any("CUDA_VISIBLE_DEVICES" in place for place in found)
