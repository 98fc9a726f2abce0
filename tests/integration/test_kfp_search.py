"""The pipeline from a search to what its winners show, run by kfp on this machine."""

import builtins
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import local

from consort import members
from consort.store.folder import FolderStore
from consort_pipelines.search_then_ensemble import search_then_ensemble

pytestmark = pytest.mark.timeout(900)
STUDY = """
name = "found"
data = { source = "digits", train_images = 160, val_images = 100 }
recipe = { name = "fast", epochs = 2, batch_size = 32, flip = false, crop_padding = 1 }
latency = { repeats = 3 }
[search]
kinds = ["single", "joint"]
members = 2
sampler = "random"
trials = 2
recipe = { epochs = 1 }
objective = { target_latency_ms = 100.0, source = "measured" }
space = { block = ["wide"], width = [4, 8], depth = [1] }
final = { seeds = 2 }
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[tuple[FolderStore, Path]]:
    """The store, and where kfp put the outputs."""
    folder, before = tmp_path_factory.mktemp("pipeline"), builtins.print
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You may be attemping", RuntimeWarning)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"),
                   raise_on_error=True)
        search_then_ensemble()(study=STUDY, store=str(folder / "store"), target="local")
    builtins.print = before  # kfp.local replaces it to indent what tasks print; two tasks at once leave it replaced
    yield FolderStore(folder / "store"), folder / "artifacts"


def outputs(artifacts: Path, step: str) -> dict:
    (output,) = artifacts.rglob(f"{step}/executor_output.json")
    return {name: of["artifacts"][0] for name, of in json.loads(output.read_text())["artifacts"].items()}


def metrics(artifacts: Path, step: str) -> dict:
    return outputs(artifacts, step)["metrics"]["metadata"]


def results(store: FolderStore) -> dict:
    (key,) = [k for k in store.list("studies") if k.endswith("/search.json")]
    return json.loads(store.read(key))


def test_the_winners_are_trained_again_and_compared(ran: tuple[FolderStore, Path]) -> None:
    store, _ = ran
    found = results(store)
    assert [len(arm["trials"]) for arm in found["arms"]] == [2, 2]
    final = found["final"]
    assert {w["kind"] for w in final["winners"]} == {"single", "joint"} and final["missing"] == {}
    again = [m for m in members.begun(store) if "-s100" in m]
    assert len(again) >= 2 and all(members.read_record(store, m) is not None for m in again)
    assert any(k.startswith("studies/found-final/") and k.endswith("report.html") for k in store.list("studies"))


def test_the_steps_show_what_was_found_and_what_it_came_to(ran: tuple[FolderStore, Path]) -> None:
    store, artifacts = ran
    final = results(store)["final"]
    searched, compared = metrics(artifacts, "search-architecture"), metrics(artifacts, "compare-winners")
    for winner in final["winners"]:
        assert searched[f"{winner['kind']}_reward"] == winner["reward"]
        assert searched[f"{winner['kind']}_networks"] == " + ".join(winner["networks"])
    for ensemble in final["ensembles"]:
        assert compared[f"{ensemble['kind']}_accuracy"] == ensemble["accuracy"]
        assert compared[f"{ensemble['kind']}_ensemble"] == ensemble["ensemble"]
        for other in ensemble["differences"]:
            assert compared[f"{ensemble['kind']}_minus_{other['minus']}"] == other["accuracy"]


def test_the_page_and_the_table_of_the_search_are_artifacts_of_the_last_step(ran: tuple[FolderStore, Path]) -> None:
    store, artifacts = ran
    (folder,) = {key.rpartition("/")[0] for key in store.list("studies") if key.endswith("/search.json")}
    shown = outputs(artifacts, "compare-winners")
    for name, file in (("page", "search.html"), ("table", "search.md")):
        assert Path(shown[name]["uri"]).read_bytes() == store.read(f"{folder}/{file}")
