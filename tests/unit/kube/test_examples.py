"""The examples for kubectl name things that exist in this version."""

from pathlib import Path

import yaml

from consort import __version__
from consort.run.plan import plan
from consort.store import open_store
from consort.study.file import load_study, parse_study

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "manifests/examples"


def test_example_studies_can_be_read() -> None:
    for name in ("study-job.yaml", "study-cronjob.yaml"):
        config_map, job = yaml.safe_load_all((EXAMPLES / name).read_text())
        study = parse_study(config_map["data"]["study.toml"], name)
        assert study.name == job["metadata"]["name"] == job["metadata"]["labels"]["consort.dev/study"]


def test_the_example_member_is_one_of_the_quickstart(tmp_path: Path) -> None:
    job = yaml.safe_load((EXAMPLES / "member-pytorchjob.yaml").read_text())
    study, store = load_study(ROOT / "studies/quickstart.toml"), open_store(str(tmp_path / "store"))
    quickstart = plan(store, study, tmp_path, tmp_path)
    args = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--member") + 1] == job["metadata"]["name"]
    assert job["metadata"]["name"] in {spec.id for spec in quickstart.specs}


def test_manifests_name_the_images_of_this_version() -> None:
    files = [*EXAMPLES.glob("*.yaml"), ROOT / "manifests/base/kustomization.yaml"]
    for file in files:
        for line in file.read_text().splitlines():
            if "docker.io/consort/" in line:
                assert line.endswith(f":{__version__}"), f"{file.name}: {line.strip()}"


def test_pods_reach_dns_in_whatever_namespace_it_is() -> None:
    policies = yaml.safe_load_all((ROOT / "manifests/base/network-policies.yaml").read_text())
    (rule,) = next(policy for policy in policies if policy["metadata"]["name"] == "consort-dns")["spec"]["egress"]
    assert {"namespaceSelector": {}} in rule["to"]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} >= {("UDP", 53), ("TCP", 53)}
