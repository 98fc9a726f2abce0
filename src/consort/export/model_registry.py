"""A bundle as a version of a model in Kubeflow's Model Registry, which keeps its address and what was measured.

Where the registry is, says MODEL_REGISTRY_URL; the client reads a token from the file that KF_PIPELINES_SA_TOKEN_PATH
names, or the service account's.
"""

import getpass
import os
import warnings
from typing import Any

from consort.errors import InputError
from consort.export.facts import facts
from consort.export.formats import FORMATS, format_of

ADDRESS = "MODEL_REGISTRY_URL"


def register(uri: str, manifest: dict[str, Any]) -> str:
    """Register the bundle that lies at `uri` under its name; NAME/VERSION, where the version is of the run and of the
    model's bytes. Raises InputError where the client is not installed or the registry refuses."""
    try:
        from model_registry import ModelRegistry
    except ModuleNotFoundError as e:
        raise InputError("registering with Kubeflow's Model Registry needs its client: pip install "
                         "model-registry.") from e
    address = os.environ.get(ADDRESS)
    if not address:
        raise InputError(f"{ADDRESS} does not say where the Model Registry is: set it, for example to "
                         "http://model-registry-service.kubeflow.svc.cluster.local:8080.")
    model = manifest["files"][FORMATS[format_of(manifest)].file]
    name, version = manifest["name"], f"{manifest['run']}-{model['sha256'][:12]}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without a token: some registries want none
            ModelRegistry(address, author=getpass.getuser()).register_model(
                name, uri, model_format_name=format_of(manifest), model_format_version="1", version=version,
                version_description=manifest["label"], metadata=facts(manifest))
    except Exception as e:  # errors of the client, its connection and its server have no common class
        said = (str(e).strip() or type(e).__name__).splitlines()
        raise InputError(f"the Model Registry at {address} did not take {name} {version}: {' '.join(said[:2])}. "
                         f"{ADDRESS} says where it is.") from e
    return f"{name}/{version}"
