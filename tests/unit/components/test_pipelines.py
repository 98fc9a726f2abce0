"""The compiled pipeline, read back: its steps, edges, images, secrets by name. And the packages that are installed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from consort import __version__
from consort.kube import names
from consort_pipelines.compile import PACKAGE

ROOT = Path(__file__).parents[3]
TORCH, PLAIN = f"docker.io/consort/consort-torch:{__version__}", f"docker.io/consort/consort:{__version__}"
IMAGES = {"plan-study": PLAIN, "train-member": PLAIN, "predict-members": TORCH, "evaluate-ensembles": PLAIN,
          "report": PLAIN, "clean-up": PLAIN, "confirm-answer": PLAIN, "export-bundle": TORCH}


def compiled(folder: Path, *arguments: str, **environment: str) -> str:
    """What `python -m consort_pipelines.compile` writes; no image of this environment counts."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSORT_")}
    subprocess.run([sys.executable, "-m", "consort_pipelines.compile", "--output", str(folder), *arguments],
                   env={**clean, **environment}, check=True, capture_output=True)
    return (folder / PACKAGE).read_text()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def spec(text: str) -> dict:
    return next(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def on_kubernetes(text: str) -> dict[str, dict]:
    """Step -> what is Kubernetes' about it."""
    _, platform = yaml.safe_load_all(text)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): values for name, values in executors.items()}


def tasks(spec: dict, component: str | None = None) -> dict[str, dict]:
    """The tasks of the pipeline, or of a component in it."""
    return (spec["components"][component] if component else spec["root"])["dag"]["tasks"]


def edges(found: dict[str, dict]) -> dict[str, list[str]]:
    return {name: task.get("dependentTasks", []) for name, task in found.items()}


def test_a_study_is_planned_trained_and_confirmed(spec: dict) -> None:
    assert edges(tasks(spec)) == {"plan-study": [], "train-and-answer": ["plan-study"],
                                  "confirm-answer": ["plan-study", "train-and-answer"],
                                  "export-bundle": ["confirm-answer", "plan-study"]}


def test_the_last_step_gives_a_model(spec: dict) -> None:
    shown = spec["components"]["comp-export-bundle"]["outputDefinitions"]["artifacts"]
    assert {name: artifact["artifactType"]["schemaTitle"] for name, artifact in shown.items()} == {
        "bundle": "system.Model"}


def test_the_answer_comes_when_the_members_have_ended_well_or_not(spec: dict) -> None:
    inner = tasks(spec, "comp-train-and-answer")
    assert edges(inner) == {"exit-handler-1": [], "answer": ["exit-handler-1"]}
    assert inner["answer"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    sources = {source for value in inner["answer"]["inputs"]["parameters"].values() for source in value}
    assert sources == {"componentInputParameter"}, "KFP gives an exit task no outputs of other tasks"
    assert edges(tasks(spec, "comp-answer")) == {"clean-up": [], "predict-members": [],
                                                 "evaluate-ensembles": ["predict-members"],
                                                 "report": ["evaluate-ensembles"]}


def test_no_other_task_asks_to_run_after_a_failed_one(spec: dict) -> None:
    """KFP's server makes such a task a hook: a task that depends on it could not be found, and a loop's is lost."""
    policies = [(name, task["triggerPolicy"]) for component in (None, *spec["components"])
                if component is None or "dag" in spec["components"][component]
                for name, task in tasks(spec, component).items() if "triggerPolicy" in task]
    assert [name for name, _ in policies] == ["answer"]


def test_there_is_a_step_for_each_member(spec: dict) -> None:
    (loop,) = tasks(spec, "comp-exit-handler-1").values()
    assert loop["iteratorPolicy"] == {"parallelismLimit": 4}
    assert loop["parameterIterator"]["items"] == {"inputParameter": "pipelinechannel--members"}
    assert list(tasks(spec, loop["componentRef"]["name"])) == ["train-member"]


def test_members_at_a_time_and_images_are_chosen_when_compiling(tmp_path: Path) -> None:
    other = compiled(tmp_path, "--parallelism", "9", CONSORT_IMAGE="here/plain:1", CONSORT_TORCH_IMAGE="here/torch:1")

    spec = next(yaml.safe_load_all(other))
    (loop,) = tasks(spec, "comp-exit-handler-1").values()
    assert loop["iteratorPolicy"] == {"parallelismLimit": 9}
    assert {e["container"]["image"] for e in spec["deploymentSpec"]["executors"].values()} == {"here/plain:1",
                                                                                               "here/torch:1"}


def test_every_step_runs_in_its_image_and_installs_nothing(spec: dict) -> None:
    executors = spec["deploymentSpec"]["executors"]
    assert {name.removeprefix("exec-"): e["container"]["image"] for name, e in executors.items()} == IMAGES
    for executor in executors.values():
        assert "pip install" not in str(executor["container"]["command"])


def test_nothing_is_cached(text: str, spec: dict) -> None:
    assert "enableCache" not in text
    for component, name in [(None, "plan-study"), ("comp-train-and-answer", "answer"), ("comp-answer", "report")]:
        assert tasks(spec, component)[name]["cachingOptions"] == {}


def test_credentials_are_named_and_nowhere_else(on_kubernetes: dict[str, dict], text: str) -> None:
    assert on_kubernetes.keys() == IMAGES.keys()
    for step in on_kubernetes.values():
        (secret,), (config,) = step["secretAsEnv"], step["configMapAsEnv"]
        assert secret["secretName"] == names.STORE_SECRET
        assert {k["envVar"] for k in secret["keyToEnv"]} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        assert config["configMapName"] == names.CONFIG_MAP
        assert {"fieldPath": "metadata.name", "name": "POD_NAME"} in step["fieldPathAsEnv"]
    assert text.count("AWS_SECRET_ACCESS_KEY") == 2 * len(IMAGES), "a key and a variable in each step, nothing else"


def test_steps_run_as_the_user_of_the_images(on_kubernetes: dict[str, dict]) -> None:
    for step in on_kubernetes.values():
        assert step["securityContext"] == {"runAsUser": "1000", "runAsGroup": "1000", "runAsNonRoot": True}


def test_the_parameters_are_the_study_s(spec: dict) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: p.get("defaultValue") for name, p in parameters.items()} == {
        "study": None, "store": "", "grow": False, "target": "cluster", "recompute": False,
        "export": True}


def test_the_compiled_package_in_the_repository_is_up_to_date(text: str) -> None:
    stored = (ROOT / "pipelines" / "compiled" / PACKAGE).read_text()
    assert without_kfp_version(stored) == without_kfp_version(text), (
        "python -m consort_pipelines.compile --output pipelines/compiled")


def without_kfp_version(package: str) -> list[str]:
    return [line for line in package.splitlines() if not line.startswith("sdkVersion:")]


def test_every_package_is_installed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = set()
    for root, name in (("src/consort", "consort"), ("components", "consort_components"),
                       ("pipelines", "consort_pipelines")):
        folders = [path.parent.relative_to(ROOT / root) for path in (ROOT / root).rglob("__init__.py")]
        there |= {".".join([name, *folder.parts]) for folder in folders}
    assert listed == there
