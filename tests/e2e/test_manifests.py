"""The manifests do on a cluster what docs/cluster.md says."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster_namespace import MANIFESTS, ROOT, ClusterNamespace, fresh_namespace, kubectl, plain_image

from consort.kube import names

KUSTOMIZATIONS = ["base", "overlays/standalone", "overlays/kubeflow", "training-operator"]
POD_SECONDS = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterNamespace]:
    with fresh_namespace(tmp_path_factory.mktemp("overlay")) as fresh:
        yield fresh


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """The manifests as a user has them after making store.env."""
    copied = Path(shutil.copytree(MANIFESTS, tmp_path / "manifests"))
    keys = copied / "overlays/standalone/store.env"
    keys.write_text("AWS_ACCESS_KEY_ID=consort\nAWS_SECRET_ACCESS_KEY=not-secret\n")
    return copied


def documented_rights() -> dict[str, dict[str, set[str]]]:
    """{service account: {resource: verbs}} from the table in the section Rights; "any account" is added to each."""
    section = (ROOT / "docs/cluster.md").read_text().split("\n## Rights\n")[1].split("\n## ")[0]
    rights: dict[str, dict[str, set[str]]] = {names.MEMBER_ACCOUNT: {}, names.LAUNCHER_ACCOUNT: {}}
    for account, resource, verbs in re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|", section, re.MULTILINE):
        for one in rights if account == "any account" else [account.strip("`")]:
            rights[one][resource] = set(verbs.split(", "))
    return rights


def granted_rights(namespace: str, account: str) -> dict[str, set[str]]:
    """{resource: verbs} that the cluster answers; lines without a resource are addresses that anybody may get."""
    answer = kubectl("-n", namespace, "auth", "can-i", "--list", f"--as=system:serviceaccount:{namespace}:{account}")
    rights: dict[str, set[str]] = {}
    row = re.compile(r"^(\S*) +\[(.*?)\] +\[(.*?)\] +\[(.*?)\]$", re.MULTILINE)
    for resource, addresses, objects, verbs in row.findall(answer):
        assert not objects
        if resource:
            rights.setdefault(resource, set()).update(verbs.split())
        else:
            assert verbs == "get" and addresses
    return rights


@pytest.mark.parametrize("account", [names.MEMBER_ACCOUNT, names.LAUNCHER_ACCOUNT])
def test_rights_are_those_that_the_docs_state(installed: ClusterNamespace, account: str) -> None:
    stated = documented_rights()[account]
    assert "selfsubjectreviews.authentication.k8s.io" in stated  # the table was found
    assert granted_rights(installed.name, account) == stated


def member_pod(name: str, command: list[str]) -> dict:
    """The pod of examples/member-pytorchjob.yaml with another command, in the image without torch."""
    job = yaml.safe_load((MANIFESTS / "examples/member-pytorchjob.yaml").read_text())
    template = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    template["spec"]["containers"][0] |= {"image": plain_image(), "command": command, "args": [],
                                          "resources": {"requests": {"cpu": "50m"}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": template["metadata"]["labels"]},
            "spec": {**template["spec"], "restartPolicy": "Never"}}


LOOK_AROUND = """
import json, os, pathlib
def writable(folder):
    try:
        (pathlib.Path(folder) / "probe").touch()
        return True
    except OSError:
        return False
print(json.dumps({
    "token": pathlib.Path("/var/run/secrets/kubernetes.io").exists(), "uid": os.getuid(),
    "writable": [f for f in ("/", "/opt/consort", "/etc", "/tmp", "/scratch", "/dev/shm") if writable(f)],
    "store": os.environ["CONSORT_STORE"], "keys": bool(os.environ["AWS_SECRET_ACCESS_KEY"])}))
"""


def test_a_member_pod_has_no_token_no_root_and_writes_only_to_its_volumes(installed: ClusterNamespace) -> None:
    pod = member_pod("looks-around", ["python", "-c", LOOK_AROUND])
    del pod["spec"]["automountServiceAccountToken"]  # the service account alone says so
    installed.kubectl("apply", "-f", "-", text=json.dumps(pod))
    installed.kubectl("wait", "pod/looks-around", "--for=jsonpath={.status.phase}=Succeeded",
                      f"--timeout={POD_SECONDS}s", seconds=POD_SECONDS + 10)
    assert json.loads(installed.kubectl("logs", "looks-around")) == {
        "token": False, "uid": 1000, "writable": ["/tmp", "/scratch", "/dev/shm"], "store": installed.store_uri,
        "keys": True}


@pytest.mark.parametrize("rooted", [{"runAsUser": 0, "runAsNonRoot": False},
                                    {"privileged": True, "allowPrivilegeEscalation": True}])
def test_a_pod_that_asks_for_root_is_refused(installed: ClusterNamespace, rooted: dict) -> None:
    pod = member_pod("wants-root", ["id"])
    installed.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))  # without it, it is admitted
    pod["spec"]["containers"][0]["securityContext"] |= rooted
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        installed.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))


def test_the_reaper_runs(installed: ClusterNamespace) -> None:
    # Without an owner: the CronJob keeps one finished job, and would remove this one as soon as one of its own ends.
    job = json.loads(installed.kubectl("create", "job", "gc-now", "--from=cronjob/consort-gc", "--dry-run=client", "-o",
                                       "json"))
    job["metadata"].pop("ownerReferences", None)
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == plain_image()  # stated once, in the ConfigMap
    installed.kubectl("create", "-f", "-", text=json.dumps(job))
    installed.kubectl("wait", "job/gc-now", "--for=condition=Complete", f"--timeout={POD_SECONDS}s",
                      seconds=POD_SECONDS + 10)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_a_kustomization_builds_without_credentials_of_its_own(manifests: Path, folder: str) -> None:
    objects = list(yaml.safe_load_all(kubectl("kustomize", manifests / folder)))
    assert objects
    secrets = [o["metadata"]["name"] for o in objects if o["kind"] == "Secret"]
    assert secrets == (["consort-store"] if folder == "overlays/standalone" else [])
    assert not [o for o in objects if o["kind"] in ("ClusterRole", "ClusterRoleBinding")]


def test_kubeflow_accounts_of_the_profile_may_start_studies(manifests: Path) -> None:
    objects = list(yaml.safe_load_all(kubectl("kustomize", manifests / "overlays/kubeflow")))
    assert {o["metadata"]["namespace"] for o in objects} == {"my-profile"}
    subjects = [s for o in objects if o["kind"] == "RoleBinding" for s in o["subjects"]]
    assert {(s["namespace"], s["name"]) for s in subjects} == {
        ("my-profile", "consort-launcher"), ("my-profile", "default-editor"), ("my-profile", "pipeline-runner")}


def workloads(objects: list[dict]) -> Iterator[dict]:
    """The pod templates of all objects."""
    for o in objects:
        match o["kind"]:
            case "Job" | "Deployment":
                yield o["spec"]["template"]
            case "CronJob":
                yield o["spec"]["jobTemplate"]["spec"]["template"]
            case "PyTorchJob":
                yield from (replica["template"] for replica in o["spec"]["pytorchReplicaSpecs"].values())


def assert_admitted(namespace: ClusterNamespace, objects: list[dict]) -> None:
    """A controller's objects are admitted whatever their pods look like, so ask about the pods too."""
    templates = list(workloads(objects))
    assert templates
    for number, template in enumerate(templates):
        spec = {**template["spec"], "restartPolicy": "Never"}
        metadata = {**template["metadata"], "name": f"pod-{number}"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        namespace.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))


@pytest.mark.parametrize("example", sorted(path.name for path in (MANIFESTS / "examples").glob("*.yaml")))
def test_an_example_is_admitted_by_a_restricted_namespace(installed: ClusterNamespace, example: str) -> None:
    file = MANIFESTS / "examples" / example
    installed.kubectl("apply", "--dry-run=server", "-f", file)
    assert_admitted(installed, list(yaml.safe_load_all(file.read_text())))


def test_what_standalone_runs_is_admitted(installed: ClusterNamespace, manifests: Path) -> None:
    objects = list(yaml.safe_load_all(kubectl("kustomize", manifests / "overlays/standalone")))
    assert objects[0]["kind"] == "Namespace"
    assert objects[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for o in objects:
        o["metadata"]["namespace"] = installed.name
    service_accounts = [o for o in objects if o["kind"] not in ("Namespace", "ServiceAccount")]
    installed.kubectl("apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump_all(service_accounts))
    assert_admitted(installed, objects)
