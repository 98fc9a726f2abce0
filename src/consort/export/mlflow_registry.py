"""A bundle as a version of a model in MLflow, beside a run with its files and what was measured.

Where MLflow is, says its environment: MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI.
"""

from pathlib import Path
from typing import Any

from consort.errors import InputError
from consort.export.facts import facts


def register(folder: Path, manifest: dict[str, Any]) -> str:
    """Log a bundle's files and facts as a run of the experiment of its study, and register it under its name; its
    address, models:/NAME/VERSION. Raises InputError where MLflow is not installed or refuses."""
    try:
        import mlflow
    except ModuleNotFoundError as e:
        raise InputError("registering with MLflow needs it: pip install mlflow.") from e
    name, values = manifest["name"], facts(manifest)
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    try:
        mlflow.set_experiment(manifest["study"])
        with mlflow.start_run(run_name=name) as run:
            mlflow.log_params({key: value for key, value in values.items() if key not in numbers})
            mlflow.log_metrics(numbers)
            mlflow.log_artifacts(str(folder), "bundle")
        client = mlflow.MlflowClient()
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(name, f"{run.info.artifact_uri}/bundle", run.info.run_id)
    except Exception as e:  # errors of MLflow, and of where it keeps files, have no common class
        said = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise InputError(f"MLflow at {mlflow.get_tracking_uri()} did not take {name}: {said}. "
                         "MLFLOW_TRACKING_URI says where it is.") from e
    return f"models:/{name}/{version.version}"
