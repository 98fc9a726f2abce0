"""Katib Experiments: the typed models take them, every rule of Katib's has a counter-example, and trials' shells end
as they must."""

import copy
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubeflow_katib_api.models import V1beta1Experiment
from test_kube_objects import containers, pod_of, violations

from consort import errors, samplers
from consort.kube import names
from consort.kube.experiment import (
    LEAST_SECONDS,
    METRICS_FILE,
    algorithm_name,
    experiment,
    experiment_name,
    experiments,
    trial_job,
)
from consort.kube.experiment_rules import check_experiment
from consort.kube.images import Images
from consort.study.file import Study

STORE, RUN = "s3://bucket/prefix", "0123456789"
IMAGES = Images("registry.example/consort:1", "registry.example/consort-torch:1")
SEARCH = {"members": 2, "trials": 20, "parallel": 4, "settings": {"population": 10}, "seed": 7,
          "objective": {"target_latency_ms": 0.8},
          "space": {"block": ["wide", "mbconv"], "width": [8, 16], "depth": [1, 2], "expansion": [2, 4]}}


def study(name: str = "tiny", cluster: dict | None = None, run: dict | None = None, **search: Any) -> Study:
    return Study.model_validate({"name": name, "data": {"source": "digits"}, "architectures": {},
                                 "recipe": {"batch_size": 32}, "cluster": cluster or {}, "run": run or {},
                                 "search": {**SEARCH, **search}})


def made(kind: str = "joint", sampler: str = "evolution", **search: Any) -> dict:
    return experiment(STORE, study(**search), RUN, kind, sampler, IMAGES)


def test_the_typed_models_of_katibs_sdk_take_it_whole():
    manifest = made()
    again = V1beta1Experiment.from_dict(json.loads(json.dumps(manifest)))
    assert again is not None and again.to_dict() == manifest


def test_it_says_what_the_study_says():
    spec = made()["spec"]
    assert (spec["parallelTrialCount"], spec["maxTrialCount"], spec["maxFailedTrialCount"]) == (4, 20, 5)
    assert spec["objective"]["objectiveMetricName"] == "reward" and spec["objective"]["type"] == "maximize"
    assert {s["value"] for s in spec["objective"]["metricStrategies"]} == {"latest"}
    assert [p["name"] for p in spec["parameters"]] == [p.name for p in study().search.space("joint").parameters]
    assert spec["algorithm"]["algorithmName"] == "consort-evolution"
    told = {s["name"]: s["value"] for s in spec["algorithm"]["algorithmSettings"]}
    assert told == {"population": "10", "seed": "7", "target_latency_ms": "0.8", "reward": "soft",
                    "latency": "parallel"}


def test_trials_are_as_exact_as_the_study_says():
    for how, told in (({}, []), ({"deterministic": True, "compile": True}, ["--deterministic", "--compile"])):
        (step,) = containers(pod_of(trial_job(STORE, study(run=how), RUN, "joint", IMAGES)))
        (script,) = step["args"]
        assert [word for word in script.split() if word in ("--deterministic", "--compile")] == told


def test_without_parallel_the_clusters_members_at_a_time_count_and_never_more_than_trials():
    few = experiment(STORE, study(cluster={"members_at_a_time": 9}, parallel=None), RUN, "single", "random", IMAGES)
    assert few["spec"]["parallelTrialCount"] == 9
    assert made(trials=3, max_failures=50)["spec"]["parallelTrialCount"] == 3
    assert made(trials=3, max_failures=50)["spec"]["maxFailedTrialCount"] == 3


def test_the_control_is_not_told_the_settings_of_the_other_sampler():
    told = {s["name"] for s in made(sampler="random")["spec"]["algorithm"]["algorithmSettings"]}
    assert "population" not in told and "seed" in told


def test_an_algorithm_of_katibs_own_is_named_as_katib_does_and_told_nothing():
    algorithm = made(sampler="katib-tpe")["spec"]["algorithm"]
    assert algorithm == {"algorithmName": "tpe", "algorithmSettings": []}


def test_there_is_one_for_each_kind_and_sampler_and_none_without_a_search():
    of = study(kinds=["single", "joint"])
    assert of.search is not None
    assert of.search.arms() == [("single", "evolution", False), ("single", "random", True),
                                ("joint", "evolution", False), ("joint", "random", True)]
    assert of.search.arms("katib-random")[0] == ("single", "katib-random", False)
    assert len({e["metadata"]["name"] for e in experiments(STORE, of, RUN, IMAGES)}) == 4
    plain = Study.model_validate({"name": "a", "data": {"source": "digits"}, "architectures": {"wrn-10-1": 1}})
    assert experiments(STORE, plain, RUN, IMAGES) == []


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,32}[a-z0-9])?", fullmatch=True),
       st.sampled_from(["single", "uniform", "joint"]),
       st.sampled_from([*samplers.NAMES, "katib-bayesianoptimization", "katib-multivariate-tpe"]))
def test_names_fit_katib_and_what_it_makes_of_them(name, kind, sampler):
    found = experiment_name(name, RUN, kind, sampler)
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", found)
    assert len(f"{found}-{algorithm_name(sampler)}") <= 63  # Deployment and Service of the suggestion
    assert len(f"{found}-12345678-master-0") <= 63          # a trial's pod
    assert found != experiment_name(name, "another-run", kind, sampler)


def test_trials_are_pods_that_pod_security_restricted_admits():
    assert violations(made()["spec"]["trialTemplate"]["trialSpec"]) == []


def test_trials_are_no_members_and_say_of_which_run_they_are():
    job = made()["spec"]["trialTemplate"]["trialSpec"]
    labels = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"]["labels"]
    assert labels[names.COMPONENT_LABEL] == "trial" and labels[names.RUN_LABEL] == RUN
    assert names.MEMBER_LABEL not in labels


def test_settings_that_trials_cannot_have_are_refused():
    for cluster in ({"nodes": 2}, {"processes": 2}):
        with pytest.raises(errors.InputError, match="one process of one pod"):
            experiment(STORE, study(cluster=cluster), RUN, "single", "random", IMAGES)
    with pytest.raises(errors.InputError, match="median_stopping is for searches on one machine"):
        made(median_stopping=True)


def test_the_hash_is_over_what_is_asked_not_over_how_many_run_at_a_time():
    def digits(**search: Any) -> str:
        return made(**search)["metadata"]["labels"][names.SPEC_HASH_LABEL]

    assert digits(parallel=1, max_failures=1) == digits(parallel=8)
    assert digits(trials=21) != digits(trials=20)


def filled(manifest: dict, values: dict[str, str]) -> dict:
    """The trial's job as Katib makes it: a replacement in the JSON text."""
    text = json.dumps(manifest["spec"]["trialTemplate"]["trialSpec"])
    for name, value in values.items():
        text = text.replace(f"${{trialParameters.{name}}}", value)
    return json.loads(text)


def test_filled_in_it_passes_every_choice_to_the_trial():
    space = study().search.space("joint")
    chosen = space.assignments(next(space.candidates()))
    container = filled(made(), chosen)["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert dict(part.split("=") for part in env["CONSORT_CHOICES"].split()) == chosen
    assert "${" not in json.dumps(container)


Change = Callable[[dict], Any]


def master(spec: dict) -> dict:
    return spec["trialTemplate"]["trialSpec"]["spec"]["pytorchReplicaSpecs"]["Master"]


def container(spec: dict) -> dict:
    return master(spec)["template"]["spec"]["containers"][0]


COUNTER_EXAMPLES: list[tuple[str, Change]] = [
    ("a Service's name", lambda s: s["algorithm"].update(algorithmName="consort-" + "x" * 30)),
    ("parallelTrialCount is 1", lambda s: s.update(parallelTrialCount=21)),
    ("parallelTrialCount is 1", lambda s: s.update(parallelTrialCount=0)),
    ("maxFailedTrialCount is 0", lambda s: s.update(maxFailedTrialCount=21)),
    ("a type, maximize or minimize", lambda s: s["objective"].update(type="best")),
    ("an objectiveMetricName", lambda s: s["objective"].update(objectiveMetricName="")),
    ("has the objective too", lambda s: s["objective"]["additionalMetricNames"].append("reward")),
    ("one entry for every metric", lambda s: s["objective"]["metricStrategies"].pop()),
    ("one entry for every metric", lambda s: s["objective"].pop("metricStrategies")),
    ("it has parameters", lambda s: s.update(parameters=[])),
    ("categorical, with a list", lambda s: s["parameters"][0].update(parameterType="int")),
    ("categorical, with a list", lambda s: s["parameters"][0]["feasibleSpace"].update(min="1")),
    ("names and references of their own", lambda s: s["trialTemplate"]["trialParameters"].append(
        s["trialTemplate"]["trialParameters"][0])),
    ("refer to parameters that it has", lambda s: s["trialTemplate"]["trialParameters"][0].update(reference="width")),
    ("refer to every parameter", lambda s: s["trialTemplate"]["trialParameters"].pop()),
    ("are all used in the trialSpec", lambda s: container(s)["env"][-1].update(value="")),
    ("are there for every placeholder", lambda s: container(s)["env"][-1].update(
        value=container(s)["env"][-1]["value"] + " a=${trialParameters.a}")),
    ("no metadata.name", lambda s: s["trialTemplate"]["trialSpec"]["metadata"].update(name="trial")),
    ("no metadata.namespace", lambda s: s["trialTemplate"]["trialSpec"]["metadata"].update(namespace="consort")),
    ("is a PyTorchJob", lambda s: s["trialTemplate"]["trialSpec"].update(kind="Job")),
    ("is a PyTorchJob", lambda s: s["trialTemplate"]["trialSpec"].pop("apiVersion")),
    ("one Master without Workers", lambda s: s["trialTemplate"]["trialSpec"]["spec"]["pytorchReplicaSpecs"].update(
        Worker=copy.deepcopy(master(s)))),
    ('nprocPerNode is "1"', lambda s: s["trialTemplate"]["trialSpec"]["spec"].pop("nprocPerNode")),
    ("has successCondition", lambda s: s["trialTemplate"].pop("successCondition")),
    ("has failureCondition", lambda s: s["trialTemplate"].pop("failureCondition")),
    ("has primaryPodLabels", lambda s: s["trialTemplate"].pop("primaryPodLabels")),
    ("retain: true", lambda s: s["trialTemplate"].update(retain=False)),
    ("primaryContainerName is pytorch", lambda s: s["trialTemplate"].pop("primaryContainerName")),
    ("primaryContainerName is pytorch", lambda s: container(s).update(name="main")),
    ("an explicit command", lambda s: container(s).pop("command")),
    (r"\[sh, -c\] with one text", lambda s: container(s).update(command=["consort", "trial"])),
    (r"\[sh, -c\] with one text", lambda s: container(s).update(command=["/bin/sh", "-c"])),
    (r"\[sh, -c\] with one text", lambda s: container(s)["args"].append("--log")),
    ("ends without a newline", lambda s: container(s).update(args=[container(s)["args"][0] + "\n"])),
    ("is of the kind File", lambda s: s["metricsCollectorSpec"]["collector"].update(kind="StdOut")),
    ("has the format JSON", lambda s: s["metricsCollectorSpec"]["source"]["fileSystemPath"].update(format="TEXT")),
    ("an absolute path", lambda s: s["metricsCollectorSpec"]["source"]["fileSystemPath"].update(path="metrics.json")),
    ("which the collector reads", lambda s: container(s).update(args=["consort trial"])),
    ("Katib mounts its own there", lambda s: container(s)["volumeMounts"].append(
        {"name": "tmp", "mountPath": "/var/log/katib"})),
    ("resumePolicy is one of", lambda s: s.pop("resumePolicy")),
]


@pytest.mark.parametrize(("says", "change"), COUNTER_EXAMPLES)
def test_what_breaks_one_rule_of_katib_is_refused_with_that_rule(says, change):
    manifest = made()
    check_experiment(manifest)
    change(manifest["spec"])
    with pytest.raises(errors.InputError, match=says):
        check_experiment(manifest)


@pytest.mark.parametrize("name", ["a" * 41, "1-search", "Search", "search-", ""])
def test_a_name_that_katib_refuses_is_refused(name):
    manifest = made()
    manifest["metadata"]["name"] = name
    with pytest.raises(errors.InputError, match="at most 40 characters"):
        check_experiment(manifest)


def shell(tmp_path: Path, consort: str) -> subprocess.Popen:
    """The trial's shell as Katib's webhook wraps it, with this program as `consort` and a folder for the metrics."""
    program = tmp_path / "consort"
    program.write_text(f"#!/bin/sh\n{consort}\n")
    program.chmod(0o755)
    script = container(made()["spec"])["args"][0].replace(f"sleep {LEAST_SECONDS}; ", "")
    text = f"{script} && echo completed > {tmp_path}/$$.pid".replace(METRICS_FILE, str(tmp_path / "metrics.json"))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.Popen(["sh", "-c", text], env=environment)


def completed(tmp_path: Path, process: subprocess.Popen) -> bool:
    marker = tmp_path / f"{process.pid}.pid"
    return marker.exists() and marker.read_text() == "completed\n"


def test_a_trial_that_ends_well_leaves_katibs_marker(tmp_path):
    process = shell(tmp_path, 'echo "$@" > "$(dirname "$0")/said"')
    assert process.wait(timeout=60) == 0 and completed(tmp_path, process)
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"trial tiny/{RUN} --kind joint --store {STORE} --log json --metrics {tmp_path}/metrics")


@pytest.mark.parametrize("code", [3, 143, 175])
def test_a_trial_that_fails_ends_the_pod_with_its_own_code_and_leaves_no_marker(tmp_path, code):
    process = shell(tmp_path, f"exit {code}")
    assert process.wait(timeout=60) == code and not completed(tmp_path, process)


def test_sigterm_reaches_the_trial_and_its_shell_waits_until_the_state_is_saved(tmp_path):
    process = shell(tmp_path, 'cd "$(dirname "$0")"; trap "sleep 1; echo yes > saved; exit 143" TERM; '
                              "echo yes > ready; while :; do sleep 0.1; done")
    deadline = time.monotonic() + 60
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert (tmp_path / "saved").exists() and not completed(tmp_path, process)
