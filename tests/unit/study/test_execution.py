"""[run], [cluster] and [grow]: what is read is what was written, and none of it changes a member or a run."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.data.prepared import DataManifest, Prepared
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.run.plan import run_name
from consort.store import open_store
from consort.study.execution import Cluster, Grow, bytes_of
from consort.study.file import Study, parse_study, stored_study
from study_tables import cluster_tables, grow_tables

MINIMAL = {"name": "tiny", "data": {"source": "digits"}, "architectures": {"wrn-10-1": 2}}
untimed = settings(deadline=None)


def study(**tables: object) -> Study:
    return Study.model_validate({**MINIMAL, **tables})


def toml_study(line: str) -> Study:
    return parse_study(f'name = "tiny"\ndata.source = "digits"\narchitectures."wrn-10-1" = 2\n{line}\n', "here.toml")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Prepared data of which only the fingerprint counts."""
    folder: Path = tmp_path_factory.mktemp("store")
    manifest = DataManifest("digits", "arrays", ["0"], {"train": 1}, [8, 8], [0.0], [1.0], {})
    return Prepared(open_store(str(folder)), "0123456789ab", manifest, folder)


@untimed
@given(cluster_tables(), grow_tables())
def test_every_value_is_kept_and_survives_json(cluster, grow):
    read = study(cluster=cluster, grow=grow, recipe={"batch_size": 4096})
    for table, given_values in ((read.cluster, cluster), (read.grow, grow)):
        kept = json.loads(table.model_dump_json(exclude_unset=True))
        assert kept == json.loads(json.dumps(given_values))
    again = json.loads(read.cluster.model_dump_json())
    assert Cluster.model_validate_json(json.dumps(again)) == read.cluster
    assert Study.model_validate(json.loads(read.model_dump_json(exclude_unset=True))) == read


@pytest.mark.parametrize(("others", "named"), [
    ("nodes = 2", "nodes = 2. Set members_per_job to 1, or nodes to 1"),
    ("processes = 2", "processes = 2. Set members_per_job to 1, or processes to 1"),
    ("gpus = 2\nnodes = 3", "nodes = 3, gpus = 2. Set members_per_job to 1, or nodes and gpus to 1")])
def test_a_pack_is_trained_by_one_process(others, named):
    with pytest.raises(InputError, match=named):
        toml_study(f"recipe.batch_size = 60\n[cluster]\nmembers_per_job = 2\n{others}")
    assert toml_study("[cluster]\nmembers_per_job = 2\ngpus = 1").cluster.members_per_job == 2


def test_two_processes_do_not_share_a_gpu():
    with pytest.raises(InputError, match=r"got processes = 4 with gpus = 2 per pod\. Set processes to 2, gpus to 4, "
                                         r"or gpus to 0"):
        toml_study("recipe.batch_size = 60\n[cluster]\nprocesses = 4\ngpus = 2")
    assert toml_study("recipe.batch_size = 60\n[cluster]\nprocesses = 2\ngpus = 2").cluster.gpus == 2


@untimed
@given(cluster_tables(), grow_tables(), st.integers(1, 64))
def test_execution_changes_neither_run_nor_members(data, cluster, grow, workers):
    plain = study()
    other = study(cluster={**cluster, "nodes": 1, "processes": 1}, grow=grow, run={"workers": workers})
    assert run_name(other, [data]) == run_name(plain, [data])
    ids = [MemberSpec("wrn-10-1", data.fingerprint, s.recipe_of("wrn-10-1"), 0).id for s in (plain, other)]
    assert ids[0] == ids[1]


def test_run_names_stay_what_they_are(data):
    # Results in people's stores are found by these: a change here makes every study evaluate again.
    assert run_name(study(), [data]) == "8a9579e14f"
    assert run_name(study(latency={"hardware": "0123456789"}), [data]) != "8a9579e14f"


@pytest.mark.parametrize(("table", "same"), [
    ("{}", True), ("{batch_size = 1}", True), ("{batch_sizes = [1]}", True), ('{runtime = "torch"}', True),
    ("{batch_size = 8}", False), ("{batch_sizes = [1, 8]}", False), ('{runtime = "graph"}', False),
    ('{runtime = "onnxruntime"}', False)])
def test_run_names_know_only_what_the_first_version_did_not_do_by_itself(data, table, same):
    name = run_name(toml_study(f"latency = {table}"), [data])
    assert (name == run_name(study(), [data])) == same


def test_run_names_with_other_latencies_stay_what_they_are(data):
    assert run_name(study(latency={"batch_size": 8}), [data]) == "bbb470e17a"
    assert run_name(study(latency={"runtime": "onnxruntime", "threads": 2}), [data]) == "cdae5ca6b7"


@pytest.mark.parametrize("latency", [
    {}, {"batch_size": 4}, {"batch_sizes": [1, 8]}, {"runtime": "torch"}, {"runtime": "graph", "hardware": "0123"}])
def test_what_a_study_leaves_open_of_its_latencies_is_open_in_what_is_stored(latency):
    kept = study(latency=latency).model_dump(mode="json")["latency"]
    assert kept == {"threads": 1, "repeats": 50, **latency}


def test_hardware_of_latencies_is_kept_where_it_is_named():
    assert toml_study('latency.hardware = "0123456789"').model_dump()["latency"]["hardware"] == "0123456789"
    assert "hardware" not in toml_study("latency.threads = 2").model_dump()["latency"]


@pytest.mark.parametrize(("line", "expected"), [
    ("grow = 1", Grow()), ("grow = 3", Grow(seeds=3)), ("grow = {}", Grow()),
    ("grow = {seeds = 2, until_width = 0.01}", Grow(seeds=2, until_width=0.01))])
def test_short_form_of_grow(line, expected):
    assert toml_study(line).grow == expected


def test_without_its_table_a_study_does_not_grow():
    assert toml_study("").grow is None


@pytest.mark.parametrize(("quantity", "expected"), [
    ("1Mi", 2**20), ("1.5Gi", 3 * 2**29), ("500M", 500_000_000), ("2048Ki", 2**21), ("3T", 3 * 10**12)])
def test_bytes_of_a_quantity(quantity, expected):
    assert bytes_of(quantity) == expected


@pytest.mark.parametrize(("line", "near"), [
    ("cluster.node = 2", "nodes"), ("cluster.memry = '1Gi'", "memory"), ("cluster.data = {clam = 'a'}", "claim"),
    ("cluster.tolerations = [{efect = 'NoSchedule', key = 'a'}]", "effect"), ("grow.seed = 1", "seeds"),
    ("clustr.nodes = 2", "cluster"), ("grw = 1", "grow"), ("latency.hardwar = 'x'", "hardware")])
def test_unknown_key_is_refused_with_the_near_one(line, near):
    with pytest.raises(InputError, match=f"unknown key .*{near}"):
        toml_study(line)


WRONG = [
    ("grow = 0", "seeds"), ("grow = true", "grow"), ("grow.until_width = 1", "until_width"),
    ("grow.until_width = 0", "until_width"), ("grow.max_seeds = 0", "max_seeds"), ("grow = '1'", "grow"),
    ("cluster = 3", "cluster"), ("cluster.memory = '2'", "quantity with a unit"), ("cluster.memory = 2", "memory"),
    ("cluster.memory = '2GB'", "quantity"), ("cluster.memory = '-1Gi'", "quantity"),
    ("cluster.memory = '0Gi'", "at least"), ("cluster.scratch = '1e3Gi'", "quantity"),
    ("cluster.scratch = '10 Gi'", "quantity"), ("cluster.shared_memory = '1000k'", "at least"),
    ("cluster.memory = '2m'", "quantity"), ("cluster.cpus = 0", "cpus"), ("cluster.cpus = inf", "cpus"),
    ("cluster.nodes = 0", "nodes"), ("cluster.nodes = 101", "nodes"), ("cluster.gpus = -1", "gpus"),
    ("cluster.nodes = 3", "multiple of nodes x processes, got 128 for wrn-10-1 and 3"),
    ("cluster.gpu_resource = 'gpu'", "domain"), ("cluster.gpu_resource = 'nvidia.com/'", "gpu_resource"),
    ("cluster.node_selector = {'a b' = 'c'}", "label's key"), ("cluster.node_selector = {a = '-'}", "label's value"),
    ("cluster.node_selector = {'Big.example/a' = 'c'}", "label's key"), ("cluster.node_selector = {a = 1}", "string"),
    (f"cluster.node_selector = {{a = '{'b' * 64}'}}", "label's value"), ("cluster.queue = ''", "queue"),
    ("cluster.priority_class = 'Big'", "priority_class"), ("cluster.cache_claim = 'a_b'", "cache_claim"),
    ("cluster.spot = 'gcp'", "spot"), ("cluster.image = 'A b'", "image"), ("cluster.image = ''", "image"),
    ("cluster.torch_image = 'r.example/Consort:1'", "torch_image"), ("cluster.deadline_seconds = 0", "deadline"),
    ("cluster.failed_ttl_seconds = 9_999_999_999", "failed_ttl"), ("cluster.data = {}", "claim is missing"),
    ("cluster.data = {claim = 'a', path = 'data'}", "absolute folder"),
    ("cluster.data = {claim = 'a', path = '/tmp/x'}", "absolute folder"),
    ("cluster.data = {claim = 'a', path = '/data/../tmp'}", "absolute folder"),
    ("cluster.data = {claim = 'a', path = '/'}", "absolute folder"),
    ("cluster.data = {claim = 'a', path = '/a:b'}", "absolute folder"),
    ("cluster.tolerations = {key = 'a'}", "tolerations"), ("cluster.tolerations = [{}]", "Exists"),
    ("cluster.tolerations = [{key = 'a', operator = 'Exists', value = 'b'}]", "takes no value"),
    ("cluster.tolerations = [{key = 'a', tolerationSeconds = 3}]", "NoExecute"),
    ("cluster.tolerations = [{key = 'a', effect = 'Never'}]", "effect"),
    ("cluster.tolerations = [{key = 'a b'}]", "label's key"),
]


@pytest.mark.parametrize(("line", "named"), WRONG)
def test_wrong_value_is_refused_and_named(line, named):
    with pytest.raises(InputError) as raised:
        toml_study(line)
    assert named in str(raised.value)
    assert str(raised.value).startswith("here.toml: ")


@pytest.mark.parametrize("image", ["consort", "r.example:5000/a/b:1.0", "docker.io/a/b-c:lab",
                                   f"ghcr.io/a/b@sha256:{'0' * 64}", "localhost:5000/x_y.z:V1"])
def test_images_as_registries_name_them(image):
    assert study(cluster={"image": image}).cluster.image == image


def test_imported_members_need_no_batches():
    imported = {"resnet18": {"weights": "IMAGENET1K_V1"}}
    assert study(architectures=imported, cluster={"nodes": 3}).cluster.nodes == 3


def test_a_run_that_was_planned_with_fewer_gpus_than_processes_can_be_read():
    planned = study(cluster={"processes": 2, "gpus": 2}).model_dump(mode="json")
    planned["cluster"]["gpus"] = 1
    assert stored_study(planned).cluster.gpus == 1


@untimed
@given(st.text(max_size=40))
def test_any_text_is_a_quantity_or_refused(text):
    try:
        assert bytes_of(text) >= 0
    except ValueError as e:
        assert "quantity" in str(e)
