"""What a cluster's administrator gives Katib so that it knows Consort's samplers, and what a namespace needs."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from consort import __version__, samplers
from consort.kube.experiment import OF_CONSORT
from consort.suggestion.server import PORT

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
CONFIG = MANIFESTS / "components/katib-config/katib-config.yaml"


def built(folder: Path) -> list[dict]:
    """What kustomize makes of a folder."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which has kustomize, is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def config() -> dict:
    return yaml.safe_load(CONFIG.read_text())


@pytest.fixture(scope="module")
def suggestions(config: dict) -> dict[str, dict]:
    found = config["runtime"]["suggestions"]
    assert len({item["algorithmName"] for item in found}) == len(found)
    return {item["algorithmName"]: item for item in found}


def of_consort(suggestions: dict[str, dict]) -> list[dict]:
    return [item for name, item in suggestions.items() if name.startswith(OF_CONSORT)]


def test_every_sampler_is_an_algorithm_beside_katibs_own(suggestions):
    assert {item["algorithmName"] for item in of_consort(suggestions)} == {OF_CONSORT + n for n in samplers.NAMES}
    assert {"random", "tpe", "grid", "bayesianoptimization", "cmaes", "sobol"} < suggestions.keys()


def test_the_services_serve_and_leave_the_port_to_katib(suggestions):
    for item in of_consort(suggestions):
        assert (item["command"], item["args"]) == (["consort"], ["suggest-serve"])
        assert "ports" not in item and PORT == 6789


def test_they_run_in_the_images_of_this_version_and_gp_in_the_one_with_torch(suggestions):
    for item in of_consort(suggestions):
        name = "consort-torch" if item["algorithmName"] == "consort-gp" else "consort"
        assert item["image"] == f"docker.io/consort/{name}:{__version__}"


def test_they_have_more_than_katibs_default_of_memory_and_what_pod_security_restricted_wants(suggestions):
    for item in of_consort(suggestions):
        assert item["resources"]["requests"]["cpu"] == "200m" and item["resources"]["limits"]["cpu"] == "1"
        assert item["resources"]["limits"]["memory"] in ("512Mi", "1Gi")
        context = item["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] == 1000
        assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"} and context["readOnlyRootFilesystem"] is True


def test_katib_takes_pytorch_jobs_as_trials_and_gives_its_collector_their_security_context(config):
    controller = config["init"]["controller"]
    assert "PyTorchJob.v1.kubeflow.org" in controller["trialResources"] and controller["injectSecurityContext"] is True
    assert "File" in {item["kind"] for item in config["runtime"]["metricsCollectors"]}


def test_the_configuration_is_one_object_that_can_be_applied(config):
    (found,) = built(MANIFESTS / "katib")
    assert (found["kind"], found["metadata"]["name"], found["metadata"]["namespace"]) == (
        "ConfigMap", "katib-config", "kubeflow")
    assert yaml.safe_load(found["data"]["katib-config.yaml"]) == config


def test_an_overlay_with_the_component_labels_its_namespace_and_lets_trials_report(tmp_path):
    copied = Path(shutil.copytree(MANIFESTS, tmp_path / "manifests"))
    overlay = copied / "overlays/standalone"
    (overlay / "store.env").write_text("AWS_ACCESS_KEY_ID=consort\nAWS_SECRET_ACCESS_KEY=not-secret\n")
    file = overlay / "kustomization.yaml"
    file.write_text(file.read_text().replace("  # - ../../components/katib ", "  - ../../components/katib "))
    objects = {(o["kind"], o["metadata"]["name"]): o for o in built(overlay)}
    labels = objects["Namespace", "consort"]["metadata"]["labels"]
    assert labels["katib.kubeflow.org/metrics-collector-injection"] == "enabled"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    policy = objects["NetworkPolicy", "consort-katib"]["spec"]
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "trial"
    assert policy["egress"][0]["ports"] == [{"protocol": "TCP", "port": 6789}]


def test_launchers_may_lead_experiments_and_no_more_of_katib():
    (role, *_) = yaml.safe_load_all((MANIFESTS / "base/role.yaml").read_text())
    rights = {r: set(rule["verbs"]) for rule in role["rules"] for r in rule["resources"]}
    assert rights["experiments"] == {"create", "get", "list", "watch", "patch", "delete"}
    assert rights["trials"] == {"list", "watch"} and rights["suggestions"] == {"get"}
