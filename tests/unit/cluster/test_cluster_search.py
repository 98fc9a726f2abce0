"""A search on a cluster in memory, on which a stand-in for Katib's controller leads the trials."""

import io
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from consort.cli import search as cli_search
from consort.cli.app import app
from consort.cli.launching import study_objects
from consort.cluster import search as cluster_search
from consort.cluster.adopt import create_or_find
from consort.cluster.reap import cancel, collect
from consort.cluster.search import ClusterSearch
from consort.cluster.target import ClusterTarget
from consort.errors import ClusterUnavailable, IncompleteRun, InputError
from consort.events import Event, unheard
from consort.kube.experiment import experiment, experiment_name
from consort.kube.images import Images
from consort.kube.yaml import to_yaml
from consort.run.plan import plan
from consort.run.run import Run
from consort.screen.live import Screen
from consort.search import arms, trials
from consort.search.latencies import on_hardware
from consort.search.stages import execute_search
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from fake_cluster import FakeCluster
from fake_katib import FakeKatib, SecondTrainings

STUDY = """
name = "looking"
[data]
source = "digits"
train_images = 300
val_images = 300
[recipe]
name = "fast"
[search]
kinds = ["single", "joint"]
members = 2
sampler = "random"
trials = 6
parallel = 2
max_failures = 3
[search.objective]
target_latency_ms = 4.0
source = "measured"
[search.space]
block = ["wide", "mbconv"]
width = [4, 8]
depth = [1, 2]
"""
IMAGES = Images("consort:1", "consort-torch:1")
HARDWARE = "pods-hardware"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def planned(store: FolderStore, text: str = STUDY) -> Run:
    cache = store.root / "unused-cache"
    return Run(plan(store, parse_study(text, "study.toml"), Path(), cache, study_text=text), store, cache)


def searching(of: Run, cluster: FakeCluster, **more: Any) -> ClusterSearch:
    return ClusterSearch(cluster, of, IMAGES, Told(), **more)  # type: ignore[arg-type]


def ended(search: ClusterSearch) -> None:
    with pytest.raises(IncompleteRun):
        search.try_all()


class Told:
    """Keeps the events, and what a person would have seen of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.out = io.StringIO()
        self.screen = Screen(Console(file=self.out, width=200))

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.screen.listen(event)


def said(search: ClusterSearch) -> str:
    assert isinstance(search.listen, Told)
    return search.listen.out.getvalue()


def test_every_arm_is_an_experiment_whose_trials_become_its_proposals(store):
    of, cluster = planned(store), FakeCluster()
    search = searching(of, cluster)
    with FakeKatib(cluster, of) as katib:
        search.try_all()
    assert [e["metadata"]["labels"]["consort.dev/arm"] for e in katib.created] == ["single-random", "joint-random"]
    found = arms.open_arms(of, arms.arms_of(search.search), HARDWARE)
    assert [len(arm.proposals) for arm in found] == [6, 6]
    assert found == search.arms
    assert all(trials.read(store, p.trial) is not None for arm in found for p in arm.proposals)
    assert "(best so far)" in said(search) and "single-random 6/6" in said(search)


def test_the_same_command_afterwards_creates_nothing_and_finds_the_same(store):
    of, cluster = planned(store), FakeCluster()
    first = searching(of, cluster)
    with FakeKatib(cluster, of):
        first.try_all()
    again = searching(of, cluster)
    again.try_all()
    assert again.arms == first.arms and cluster.requests["create", "Experiment"] == 4  # two of them refused


def test_an_experiment_that_is_gone_is_not_made_again_where_the_store_has_its_trials(store):
    of, cluster = planned(store), FakeCluster()
    first = searching(of, cluster)
    with FakeKatib(cluster, of):
        first.try_all()
    elsewhere = FakeCluster()
    again = searching(of, elsewhere)
    again.try_all()
    assert again.arms == first.arms and not elsewhere.list("Experiment")


def test_a_search_that_was_left_adopts_its_experiment_and_goes_on(store):
    of, cluster = planned(store), FakeCluster()
    left = searching(of, cluster)
    with FakeKatib(cluster, of, lambda number: "Running" if number == 3 else "Succeeded") as katib:
        thread = threading.Thread(target=ended, args=(left,), daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not (left.arms and len(left.arms[0].proposals) == 3) and time.monotonic() < deadline:
            time.sleep(0.05)
        name = katib.created[0]["metadata"]["name"]
        cluster.vanish("Experiment", name)  # also ends the first one's wait
        thread.join(30)
    for trial in cluster.list("Trial"):
        cluster.vanish("Trial", trial["metadata"]["name"])
    again = searching(of, cluster)
    with FakeKatib(cluster, of):
        again.try_all()
    assert [len(arm.proposals) for arm in again.arms] == [6, 6]
    assert again.arms[0].proposals[:3] == left.arms[0].proposals


def test_failed_trials_are_recorded_and_counted_and_the_search_goes_on(store):
    of, cluster = planned(store), FakeCluster()
    search = searching(of, cluster)
    with FakeKatib(cluster, of, lambda number: "Failed" if number in (0, 4) else "Succeeded"):
        search.try_all()
    states = [search.ended[p.trial].state for p in search.arms[0].proposals]
    assert states.count("failed") == 2 and states.count("done") == 4
    failed = [record.reason or "" for record in search.ended.values() if record.state == "failed"]
    assert len(failed) == 4 and all("it ended" in reason for reason in failed), "two of each arm"


def test_too_many_failures_end_it_with_what_katib_says(store):
    of, cluster = planned(store), FakeCluster()
    with FakeKatib(cluster, of, lambda number: "Failed"), \
            pytest.raises(IncompleteRun, match="max failed count has reached") as caught:
        searching(of, cluster).try_all()
    assert "Failed: it ended" in str(caught.value)


def test_a_trial_without_a_record_is_a_failure_that_names_the_hardware(store):
    of, cluster = planned(store), FakeCluster()
    search = searching(of, cluster)
    with FakeKatib(cluster, of, lambda number: "Lost" if number == 5 else "Succeeded"):
        search.try_all()
    lost = [record.reason or "" for record in search.ended.values() if record.state == "failed"]
    assert len(lost) == 2 and all(f"for hardware {HARDWARE}" in reason for reason in lost), "one of each arm"


def test_an_experiment_with_other_settings_is_not_adopted(store):
    of, cluster = planned(store), FakeCluster()
    with FakeKatib(cluster, of):
        searching(of, cluster).try_all()
    other = ClusterSearch(cluster, of, Images("consort:2", "consort-torch:2"), unheard)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="made with other images"):
        other.try_all()


def test_more_trials_at_a_time_change_the_running_experiment(store):
    of, cluster = planned(store), FakeCluster()
    search = searching(of, cluster)
    follow = cluster_search._ArmFollowed(search, arms.Arm("single", "random", False))
    manifest = experiment(store.uri, of.study, of.plan.run, "single", "random", IMAGES)
    cluster.create(manifest)
    wanted = json.loads(json.dumps(manifest))
    wanted["spec"]["parallelTrialCount"] = 5
    follow._create_or_adopt(wanted)
    assert cluster.list("Experiment")[0]["spec"]["parallelTrialCount"] == 5


def test_a_suggestion_that_was_refused_is_told_with_its_message(store, monkeypatch):
    monkeypatch.setattr(cluster_search, "START_SECONDS", 0.5)
    of, cluster = planned(store), FakeCluster()
    name = experiment(store.uri, of.study, of.plan.run, "single", "random", IMAGES)["metadata"]["name"]
    cluster.create({"apiVersion": "kubeflow.org/v1beta1", "kind": "Suggestion", "metadata": {"name": name}, "status": {
        "conditions": [{"type": "Failed", "status": "True", "message": "Validation failed: unknown setting"}]}})
    with pytest.raises(ClusterUnavailable, match="Validation failed: unknown setting"):
        searching(of, cluster).try_all()


def test_a_suggestion_whose_pod_is_refused_is_told_at_once_with_the_reason(store, monkeypatch):
    monkeypatch.setattr(cluster_search, "START_SECONDS", 4.0)
    monkeypatch.setattr(cluster_search, "WORD_SECONDS", 0.5)
    of, cluster = planned(store), FakeCluster()
    name = experiment(store.uri, of.study, of.plan.run, "single", "random", IMAGES)["metadata"]["name"]
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-consort-random-7c9"}})
    cluster.add_event("Pod", f"{name}-consort-random-7c9", "FailedCreate", 'violates PodSecurity "restricted"',
                      "Warning")
    search = searching(of, cluster)
    with pytest.raises(ClusterUnavailable, match="violates PodSecurity"):
        search.try_all()
    assert said(search).count("has no trial yet. FailedCreate: violates PodSecurity") == 1


def test_a_cluster_without_katib_says_what_to_install(store):
    of, cluster = planned(store), FakeCluster(kinds_missing={"Experiment", "Trial"})
    with pytest.raises(InputError, match="install Katib"):
        searching(of, cluster).try_all()


def test_after_the_trials_search_json_has_them_all(store):
    of, cluster = planned(store), FakeCluster()
    with FakeKatib(cluster, of), SecondTrainings(cluster, of).served():
        execute_search(of, ClusterTarget(cluster, unheard), "search")  # type: ignore[arg-type]
    results = json.loads(of.read("search.json"))
    assert results["hardware_id"] == HARDWARE
    assert [len(arm["trials"]) for arm in results["arms"]] == [6, 6]
    assert on_hardware(of, HARDWARE).ref == of.ref


def test_cancelling_a_search_ends_its_experiments_and_a_cluster_without_katib_is_fine(store):
    of, cluster = planned(store), FakeCluster()
    cluster.create(experiment(store.uri, of.study, of.plan.run, "single", "random", IMAGES))
    assert cancel(cluster, f"consort.dev/run={of.plan.run}") == [  # type: ignore[arg-type]
        "Experiment " + experiment_name("looking", of.plan.run, "single", "random")]
    assert cancel(FakeCluster(kinds_missing={"Experiment"}), f"consort.dev/run={of.plan.run}") == []  # type: ignore


def test_a_terminated_kfp_run_leaves_no_experiment_behind(store):
    of, cluster = planned(store), FakeCluster()
    workflow = cluster.create({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}})
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w",
             "uid": workflow["metadata"]["uid"]}
    create_or_find(cluster, experiment(store.uri, of.study, of.plan.run, "single", "random", IMAGES),  # type: ignore
                   owner)
    assert collect(cluster) == []  # type: ignore[arg-type]
    cluster.set_status("Workflow", "w", {"phase": "Failed"})
    assert len(collect(cluster)) == 1  # type: ignore[arg-type]


def test_render_prints_the_experiments_of_a_search_and_the_job_that_brings_it_to_its_answer(store):
    of = planned(store)
    objects = study_objects(of)
    assert [o["kind"] for o in objects] == ["Experiment", "Experiment", "Job"]
    args = objects[-1]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[:4] == ["search", of.ref, "--target", "cluster"]
    assert list(yaml.safe_load_all("".join(to_yaml(objects)))) == objects
    other = study_objects(of, sampler="katib-tpe")
    assert other[0]["spec"]["algorithm"]["algorithmName"] == "tpe"
    assert [o["kind"] for o in study_objects(of, only_job=True)] == ["Job"]


@pytest.mark.parametrize("command", [["submit"], ["schedule", "--cron", "0 3 * * 6"],
                                     ["schedule", "--cron", "0 3 * * 6", "--kubectl"]])
def test_a_search_alone_is_not_what_submit_and_schedule_take_and_they_say_what_is(store, command):
    of = planned(store)
    refused = CliRunner().invoke(app, [*command, of.ref, "--store", store.uri]).exception
    assert isinstance(refused, InputError) and f"consort search {of.ref} --target cluster" in str(refused)
    assert "search_then_ensemble.yaml" in str(refused)
    (there,) = Path(__file__).parents[3].glob("pipelines/compiled/search_then_ensemble.yaml")
    assert there.is_file()


def test_sigterm_leaves_the_trials_to_katib_and_the_job_that_it_may_run_in_tries_again(store, monkeypatch):
    of, cluster = planned(store), FakeCluster()
    monkeypatch.setattr(cli_search, "chosen_target",
                        lambda name, opened, listen, *rest: ClusterTarget(cluster, listen))  # type: ignore[arg-type]
    before = signal.getsignal(signal.SIGTERM)

    def terminate_when_it_runs() -> None:
        deadline = time.monotonic() + 60
        while not cluster.list("Trial") and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        with FakeKatib(cluster, of, lambda number: "Running"):
            threading.Thread(target=terminate_when_it_runs).start()
            left = CliRunner().invoke(app, ["search", of.ref, "--store", store.uri, "--target", "cluster"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left.exit_code == 143 and "Katib and the jobs go on" in left.output


def test_winners_plans_the_study_that_trains_them_again_from_what_the_store_has(store):
    of, cluster = planned(store), FakeCluster()
    asked = ["winners", of.ref, "--store", store.uri, "--json"]
    before = CliRunner().invoke(app, asked)
    assert isinstance(before.exception, IncompleteRun) and "no trials yet" in str(before.exception)
    with FakeKatib(cluster, of):
        searching(of, cluster).try_all()
    found = json.loads(CliRunner().invoke(app, asked).stdout)
    assert found["ref"].startswith("looking-final/") and found["members"]
    assert [w["kind"] for w in found["winners"]] == ["single", "joint"]
    assert {m["state"] for m in found["members"]} == {"to train"}
    again = json.loads(CliRunner().invoke(app, ["plan", found["ref"], "--store", store.uri, "--json"]).stdout)
    assert again["members"] == found["members"]
