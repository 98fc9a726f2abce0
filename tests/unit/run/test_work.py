"""What members take beside each other."""

import importlib.util

import pytest

from consort.costs.macs import count
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.run.plan import plan
from consort.run.run import Run
from consort.run.work import macs_by_name, member_work, work_of
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from consort.study.recipe import Recipe


@pytest.mark.parametrize("name", ["wrn-10-1", "wrn-16-1", "wrn-16-4", "wrn-16-8", "wrn-28-10"])
@pytest.mark.parametrize("side", [8, 32])
def test_the_work_of_a_wide_residual_network_is_known_without_torch(name, side) -> None:
    assert macs_by_name([name], (side, side))[name] == pytest.approx(count(name, side, 10).macs, rel=0.25)


def test_on_a_gpu_a_small_network_takes_more_than_its_arithmetic() -> None:
    """As measured on an H200 in packs at batch 512: images per second."""
    measured = {"wrn-16-1": 290_000, "wrn-16-2": 211_000, "wrn-16-4": 114_000, "wrn-16-8": 44_700}
    specs = [MemberSpec(name, "data", Recipe(epochs=1), 0) for name in measured]
    takes = member_work(specs, macs_by_name(measured, (32, 32)), on_gpu=True)
    work = [one * rate for one, rate in zip(takes.values(), measured.values(), strict=True)]
    assert max(work) < 1.25 * min(work)


def planned(folder, architectures: str) -> Run:
    study = parse_study("name = 'tiny'\ndata = { source = 'digits', train_images = 340, val_images = 200 }\n"
                        f"recipe = {{ epochs = 3, batch_size = 20 }}\n[architectures]\n{architectures}\n", "study.toml")
    store, cache = FolderStore(folder / "store"), folder / "cache"
    return Run(plan(store, study, folder, cache), store, cache)


def test_members_take_their_multiply_adds_times_their_epochs(tmp_path) -> None:
    run = planned(tmp_path, '"wrn-10-1" = 1\n"wrn-10-2" = { seeds = 1, recipe = { epochs = 6 } }')
    one, two = work_of(run, run.to_train(), on_gpu=False).values()
    assert two / one == pytest.approx(8)
    one, two = work_of(run, run.to_train(), on_gpu=True).values()
    assert two / one == pytest.approx(2, rel=0.02), "of so small images both take the launching of their kernels"


def test_networks_whose_names_do_not_tell_are_counted_at_the_size_of_the_images(tmp_path, monkeypatch) -> None:
    run = planned(tmp_path, '"wrn-10-1" = 1\n"resnet18" = 1')
    one, two = work_of(run, run.to_train(), on_gpu=False).values()
    assert two / one == count("resnet18", 8, 10).macs / count("wrn-10-1", 8, 10).macs
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="multiply-adds of wrn-10-1 are counted with torch"):
        work_of(run, run.to_train(), on_gpu=False)
    alone = [spec for spec in run.to_train() if spec.architecture == "resnet18"]
    assert len(work_of(run, alone, on_gpu=False)) == 1, "there is nothing to compare it with"
