"""What registries of models are told of a bundle. Stand-ins, because their packages are large and optional: they take
what MLflow 3.17 and model-registry 0.3.18 were seen to take, and raise on all else."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from consort.errors import InputError
from consort.export import mlflow_registry, model_registry

MANIFEST: dict[str, Any] = {
    "name": "owls-c1", "label": "two small ones", "study": "owls", "run": "0123456789", "candidate": "c1",
    "members": [{"id": "a-s0-1"}, {"id": "b-s0-2"}], "weights": "float32", "data": {"fingerprint": "f" * 12},
    "model": "model.pt2", "files": {"model.pt2": {"sha256": "ab" * 32}},
    "measured": {"test": {"accuracy": 0.9, "low": 0.8, "high": 0.95, "nll": 0.3, "ece": 0.02, "mean_macs": 1200}},
    "latency": {"p50_ms": 0.5, "p90_ms": 0.7, "runtime": "torch", "hardware": {"cpu": "a processor"}}}


class Mlflow(ModuleType):
    """Runs and versions in memory."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.exceptions = ModuleType("mlflow.exceptions")
        self.exceptions.MlflowException = type("MlflowException", (Exception,), {})  # type: ignore[attr-defined]
        self.experiment, self.logged, self.versions = "", {}, {}
        self.refuses = False

    def set_experiment(self, name: str) -> None:
        if self.refuses:
            raise self.exceptions.MlflowException("no connection\nTraceback of the server")
        self.experiment = name

    def start_run(self, *, run_name: str) -> "Mlflow":
        self.logged["run"] = run_name
        return self

    def __enter__(self) -> SimpleNamespace:
        return SimpleNamespace(info=SimpleNamespace(run_id="r1", artifact_uri="file:///runs/r1/artifacts"))

    def __exit__(self, *args: object) -> None:
        pass

    def log_params(self, params: dict[str, Any]) -> None:
        assert all(isinstance(value, str) for value in params.values())
        self.logged["params"] = params

    def log_metrics(self, metrics: dict[str, float]) -> None:
        assert all(isinstance(value, int | float) for value in metrics.values())
        self.logged["metrics"] = metrics

    def log_artifacts(self, folder: str, artifact_path: str) -> None:
        self.logged["files"] = (folder, artifact_path)

    def get_tracking_uri(self) -> str:
        return "sqlite:///ml.db"

    def MlflowClient(self) -> "Mlflow":
        return self

    def search_registered_models(self, filter_string: str) -> list[str]:
        return [name for name in self.versions if filter_string == f"name = '{name}'"]

    def create_registered_model(self, name: str) -> None:
        assert name not in self.versions
        self.versions[name] = []

    def create_model_version(self, name: str, source: str, run_id: str) -> SimpleNamespace:
        self.versions[name].append((source, run_id))
        return SimpleNamespace(version=len(self.versions[name]))


@pytest.fixture
def mlflow(monkeypatch) -> Mlflow:
    stand_in = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", stand_in.exceptions)
    return stand_in


def test_mlflow_gets_files_facts_and_a_version_each_time(mlflow, tmp_path):
    assert mlflow_registry.register(tmp_path, MANIFEST) == "models:/owls-c1/1"
    assert mlflow_registry.register(tmp_path, MANIFEST) == "models:/owls-c1/2"
    assert mlflow.versions == {"owls-c1": [("file:///runs/r1/artifacts/bundle", "r1")] * 2}
    assert mlflow.experiment == "owls" and mlflow.logged["files"] == (str(tmp_path), "bundle")
    assert mlflow.logged["params"]["members"] == "a-s0-1, b-s0-2" and mlflow.logged["params"]["runtime"] == "torch"
    assert mlflow.logged["metrics"]["test_accuracy"] == 0.9 and mlflow.logged["metrics"]["mean_macs"] == 1200


def test_an_mlflow_that_refuses_is_said_in_one_line(mlflow, tmp_path):
    mlflow.refuses = True
    with pytest.raises(InputError, match=r"MLflow at sqlite:///ml\.db did not take owls-c1: no connection\. "):
        mlflow_registry.register(tmp_path, MANIFEST)


class Registry:
    """`ModelRegistry` of the client; `kept` has what was registered."""

    kept: dict[tuple[str, str], dict[str, Any]]

    def __init__(self, server_address: str, *, author: str) -> None:
        assert author
        if server_address != "http://registry:8080":
            raise OSError(f"Cannot connect to host {server_address}")

    def register_model(self, name: str, uri: str, *, model_format_name: str, model_format_version: str, version: str,
                       version_description: str, metadata: dict[str, Any]) -> None:
        assert all(isinstance(value, bool | int | float | str) for value in metadata.values())
        if (name, version) in self.kept:
            raise RuntimeError(f"Version {version} already exists")
        self.kept[name, version] = {"uri": uri, "format": model_format_name, "label": version_description} | metadata


@pytest.fixture
def registry(monkeypatch) -> type[Registry]:
    stand_in = ModuleType("model_registry")
    stand_in.ModelRegistry = Registry  # type: ignore[attr-defined]
    monkeypatch.setattr(Registry, "kept", {}, raising=False)
    monkeypatch.setitem(sys.modules, "model_registry", stand_in)
    monkeypatch.setenv("MODEL_REGISTRY_URL", "http://registry:8080")
    return Registry


def test_the_model_registry_keeps_the_address_and_the_facts(registry, monkeypatch):
    assert model_registry.register("s3://bucket/bundle", MANIFEST) == "owls-c1/0123456789-abababababab"
    [kept] = registry.kept.values()
    assert (kept["uri"], kept["format"], kept["label"]) == ("s3://bucket/bundle", "torch", "two small ones")
    assert kept["test_accuracy"] == 0.9 and kept["members"] == "a-s0-1, b-s0-2"
    with pytest.raises(InputError, match=r"did not take owls-c1 .*already exists"):
        model_registry.register("s3://bucket/bundle", MANIFEST)
    monkeypatch.setenv("MODEL_REGISTRY_URL", "http://nowhere")
    with pytest.raises(InputError, match=r"Cannot connect to host http://nowhere.*MODEL_REGISTRY_URL says where"):
        model_registry.register("s3://bucket/bundle", MANIFEST)
    monkeypatch.delenv("MODEL_REGISTRY_URL")
    with pytest.raises(InputError, match="MODEL_REGISTRY_URL does not say where"):
        model_registry.register("s3://bucket/bundle", MANIFEST)


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    for package in ("mlflow", "model_registry"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="pip install mlflow"):
        mlflow_registry.register(tmp_path, MANIFEST)
    with pytest.raises(InputError, match="pip install model-registry"):
        model_registry.register("s3://bucket/bundle", MANIFEST)
