"""Trials are shared by what they train and what judges them, and by nothing else."""

from pathlib import Path

import pytest

from consort.run.plan import Plan, plan
from consort.search.trials import search_of, trial_id
from consort.store.folder import FolderStore
from consort.study.file import parse_study

STUDY = """
name = "looking"
[data]
source = "digits"
train_images = 100
val_images = 100
[search]
kinds = ["single"]
sampler = "random"
trials = 2
[search.objective]
target_latency_ms = 4.0
source = "measured"
[search.space]
block = ["wide"]
width = [4, 8]
depth = [1]
"""


def planned(folder: Path, latency: str = "") -> Plan:
    text = f"{STUDY}\n[latency]\n{latency}\n"
    return plan(FolderStore(folder / "store"), parse_study(text, "study.toml"), Path(), folder / "cache")


@pytest.mark.parametrize(("latency", "same"), [
    ('runtime = "torch"', True), ("repeats = 7", True), ("batch_sizes = [1, 8]", True),
    ('runtime = "onnxruntime"', False), ("threads = 2", False)])
def test_a_trial_is_another_where_its_latency_is_of_another_kind(tmp_path: Path, latency: str, same: bool) -> None:
    plain, other = planned(tmp_path), planned(tmp_path, latency)
    space = search_of(plain).space("single")
    networks = space.decode(next(iter(space.candidates())))
    assert (trial_id(plain, networks, "here") == trial_id(other, networks, "here")) == same


@pytest.mark.parametrize(("precision", "same"), [("auto", True), ("float32", False)])
def test_a_number_format_that_is_named_is_part_of_what_judges_a_trial(tmp_path: Path, precision: str, same: bool,
                                                                      monkeypatch) -> None:
    """Members of a named format have ids of their own; trials of an earlier version had latencies of another format."""
    plain = planned(tmp_path)
    named = planned(tmp_path, f'[recipe]\nprecision = "{precision}"')
    monkeypatch.setattr("consort.search.trials.specs", lambda *_: [])
    assert (trial_id(plain, ["net"], "here") == trial_id(named, ["net"], "here")) == same
