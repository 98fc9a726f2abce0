"""A bundle on a cluster: a Job exports it into MinIO, its own deployment.yaml serves it from there, and the answers are
those of the study."""

import json
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from cluster_namespace import address_here
from place import Place
from study_files import write_study

from consort.data.prepared import open_prepared

pytestmark = pytest.mark.timeout(600)
BATCH = 200
"""Images of a request; the server takes 256."""


def post(url: str, body: bytes) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        return json.load(answer)


def wait_until_ready(address: str, seconds: float = 60) -> None:
    """Until the Service leads to the pod: a node learns of it a moment after the Deployment is ready."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.5)


def outputs(url: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """The answer of the Open Inference Protocol."""
    tensor = {"name": "images", "datatype": "UINT8", "shape": images.shape, "data": images.ravel().tolist()}
    answer = post(f"{url}/infer", json.dumps({"inputs": [tensor]}).encode())
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in answer["outputs"]}


@pytest.fixture
def bundle(place: Place, tmp_path: Path) -> Path:
    """Of two members that were trained beside the test, into the namespace's bucket; exported by a Job."""
    study = write_study(tmp_path, epochs=2, recipe='precision = "float32"')
    study.write_text(study.read_text().replace("cpus = 0.4", "cpus = 1").replace('memory = "1Gi"', 'memory = "2Gi"'))
    place.consort("run", str(study))
    place.consort("export", str(study), "--target", "cluster", "--members", "wrn-10-1-s0,wrn-10-1-s1", "--output",
                  str(tmp_path / "bundle"))
    assert place.names("jobs") == [], "an export that succeeded leaves no job"
    return tmp_path / "bundle"


def test_the_bundle_in_the_bucket_is_served_and_answers_as_the_study_does(place: Place, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    deployment, service = yaml.safe_load_all((bundle / "serve/deployment.yaml").read_text())
    assert f"{place.store.uri}/studies/" in deployment["spec"]["template"]["spec"]["containers"][0]["args"][1]
    place.kubectl("apply", "-f", str(bundle / "serve/deployment.yaml"))
    place.kubectl("rollout", "status", f"deployment/{deployment['metadata']['name']}", "--timeout=120s")
    address = address_here(f"http://{service['metadata']['name']}.{place.namespace.name}:80")
    wait_until_ready(address)
    model = f"{address}/v2/models/{manifest['name']}"

    images = open_prepared(place.store, manifest["data"]["fingerprint"], bundle.parent / "cache").images("test")
    parts = [outputs(model, images[i:i + BATCH]) for i in range(0, len(images), BATCH)]
    probabilities = np.concatenate([part["probabilities"] for part in parts])
    said = np.load(bundle / "examples/study-answers.npy")
    assert manifest["study_agreement"]["exact"] and len(said) == len(images)
    assert (probabilities.argmax(axis=1) == said["class"]).mean() >= 0.999
    np.testing.assert_allclose(probabilities.max(axis=1), said["probability"], atol=1e-3)
    assert set(np.concatenate([part["members_asked"] for part in parts])) == {2}

    for example in json.loads((bundle / "examples/expected.json").read_text()):
        shown = post(f"{model}/classify", (bundle / "examples" / example["file"]).read_bytes())
        assert shown["label"] == example["answer"]
