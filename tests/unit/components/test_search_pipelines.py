"""The compiled pipelines of searches, read back: steps, edges, images, and the parts that they share."""

from pathlib import Path

import pytest
import yaml
from test_pipelines import PLAIN, ROOT, TORCH, compiled, edges, tasks, without_kfp_version

from consort_pipelines.compile import SEARCHES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("compiled")
    compiled(into)
    return into


@pytest.fixture(scope="module")
def search(folder: Path) -> dict:
    return next(yaml.safe_load_all((folder / SEARCHES[0]).read_text()))


@pytest.fixture(scope="module")
def ensemble(folder: Path) -> dict:
    return next(yaml.safe_load_all((folder / SEARCHES[1]).read_text()))


def test_a_search_is_planned_and_led(search: dict) -> None:
    assert edges(tasks(search)) == {"plan-study": [], "search-architecture": ["plan-study"]}


def test_the_winners_are_trained_answered_confirmed_and_compared(ensemble: dict) -> None:
    assert edges(tasks(ensemble)) == {
        "plan-study": [], "search-architecture": ["plan-study"], "train-and-answer": ["search-architecture"],
        "confirm-answer": ["search-architecture", "train-and-answer"],
        "export-bundle": ["confirm-answer", "search-architecture"],
        "compare-winners": ["plan-study", "train-and-answer"]}


def test_what_is_trained_are_the_winners_and_what_is_compared_is_the_search(ensemble: dict) -> None:
    def source(task: str, name: str) -> str:
        return tasks(ensemble)[task]["inputs"]["parameters"][name]["taskOutputParameter"]["producerTask"]

    assert source("train-and-answer", "run") == source("train-and-answer", "members") == "search-architecture"
    assert source("confirm-answer", "run") == "search-architecture" and source("compare-winners", "run") == "plan-study"


def test_members_are_trained_as_in_the_pipeline_without_a_search(folder: Path, ensemble: dict) -> None:
    plain = next(yaml.safe_load_all((folder / "train_ensembles.yaml").read_text()))
    shared = [name for name in plain["components"] if name.startswith(("comp-train", "comp-answer", "comp-exit"))]
    assert shared and all(ensemble["components"][name] == plain["components"][name] for name in shared)


def test_the_last_step_shows_the_page_of_the_search_and_its_table(ensemble: dict) -> None:
    shown = ensemble["components"]["comp-compare-winners"]["outputDefinitions"]["artifacts"]
    assert {name: artifact["artifactType"]["schemaTitle"] for name, artifact in shown.items()} == {
        "metrics": "system.Metrics", "page": "system.HTML", "table": "system.Markdown"}


@pytest.mark.parametrize("package", ["search", "ensemble"])
def test_every_step_runs_in_its_image_and_installs_nothing(package: str, request: pytest.FixtureRequest) -> None:
    for name, executor in request.getfixturevalue(package)["deploymentSpec"]["executors"].items():
        assert executor["container"]["image"] == (
            TORCH if name in ("exec-predict-members", "exec-export-bundle") else PLAIN)
        assert "pip install" not in str(executor["container"]["command"])


@pytest.mark.parametrize("package", ["search", "ensemble"])
def test_the_parameters_are_the_study_s(package: str, request: pytest.FixtureRequest) -> None:
    parameters = request.getfixturevalue(package)["root"]["inputDefinitions"]["parameters"]
    assert {name: p.get("defaultValue") for name, p in parameters.items()} == {
        "study": None, "store": "", "target": "cluster", "sampler": "",
        **({"export": True} if package == "ensemble" else {})}


@pytest.mark.parametrize("name", SEARCHES)
def test_nothing_is_cached(folder: Path, name: str) -> None:
    assert "enableCache" not in (folder / name).read_text()


@pytest.mark.parametrize("name", SEARCHES)
def test_the_compiled_packages_in_the_repository_are_up_to_date(folder: Path, name: str) -> None:
    stored = (ROOT / "pipelines" / "compiled" / name).read_text()
    assert without_kfp_version(stored) == without_kfp_version((folder / name).read_text()), "make compile"
