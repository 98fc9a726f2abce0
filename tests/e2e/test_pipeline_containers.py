"""The containers of the compiled KFP pipeline, run on a cluster with the inputs that KFP gives them.

KFP's server is not there: kfp_package.py decides as it does which step runs when, step_pods.py makes the pods.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_namespace import plain_image, torch_image
from kfp_package import Package, Walk
from place import Place
from step_pods import StepPods
from study_files import write_study

from consort import members
from consort_pipelines.compile import PACKAGE

pytestmark = pytest.mark.timeout(600)
ANSWER = ["clean-up", "predict-members", "evaluate-ensembles", "report"]
LAST = ["confirm-answer", "export-bundle"]
ONE_CANNOT = '[architectures."wrn-10-2"]\nseeds = 1\nrecipe = { learning_rate = 1e30 }'


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of this code and of the images that the cluster has."""
    folder = tmp_path_factory.mktemp("compiled")
    images = {"CONSORT_IMAGE": plain_image(), "CONSORT_TORCH_IMAGE": torch_image()}
    subprocess.run([sys.executable, "-m", "consort_pipelines.compile", "--output", str(folder)],
                   env={**os.environ, **images}, check=True, capture_output=True)
    return Package.read(folder / PACKAGE)


def run_pipeline(place: Place, package: Package, study: Path) -> tuple[Walk, bool]:
    """A run of the pipeline with a study file's text, and whether it ended well."""
    walk = Walk(package, StepPods(place, package).run)
    return walk, walk.run(study=study.read_text())


def study_file(place: Place, name: str) -> bytes:
    [key] = [k for k in place.store.list("studies") if k.endswith(name)]
    return place.store.read(key)


def record_files(place: Place) -> dict[str, bytes]:
    return {key: place.store.read(key) for key in place.store.list("members") if key.endswith("/member.json")}


def said(walk: Walk) -> str:
    return "\n".join(f"{s.step} ended with {s.exit_code}:\n{s.log}" for s in walk.steps)


def pods_of(place: Place, member: str) -> int:
    """How many pods trained a member."""
    return len([message for message in place.created_pods() if member in message])


def test_the_steps_bring_a_study_to_its_answer_and_a_second_run_trains_nothing(
        place: Place, package: Package, tmp_path: Path) -> None:
    study = write_study(tmp_path, epochs=2)
    first, well = run_pipeline(place, package, study)
    assert well, said(first)
    assert [s.step for s in first.steps] == ["plan-study", "train-member", "train-member", *ANSWER, *LAST]
    records = {m: members.read_record(place.store, m) for m in members.begun(place.store)}
    assert sorted(first.of("plan-study")[0].parameters["members"]) == sorted(records) and len(records) == 2
    for trained in first.of("train-member"):
        record = records[trained.parameters["job"]]
        assert record is not None and trained.metadata["metrics"] == {
            "member": trained.parameters["job"], "val_accuracy": record.val_accuracy, "macs": record.macs,
            "train_seconds": record.train_seconds, "attempts": 1}
    summary = json.loads(study_file(place, "summary.json"))
    [evaluated], reports = first.of("evaluate-ensembles"), first.of("report") + first.of("confirm-answer")
    assert evaluated.parameters["Output"] == summary["answer"] and summary["missing"] == {}
    assert evaluated.metadata["metrics"]["accuracy"] == summary["answers"][0]["accuracy"]
    for reported in reports:
        assert reported.files["page"] == hashlib.sha256(study_file(place, "report.html")).hexdigest()
        assert reported.files["table"] == hashlib.sha256(study_file(place, "table.md")).hexdigest()
    [exported] = first.of("export-bundle")
    model, choices = exported.metadata["bundle"], json.loads(study_file(place, "choices.json"))
    assert model["candidate"] == choices["choices"][0]["candidate"] and set(model["members"]) <= set(records)
    key = model["uri"].removeprefix(f"{place.store.uri}/") + "/model.onnx"
    assert exported.files["model.onnx"] == hashlib.sha256(place.store.read(key)).hexdigest()
    assert str(place.namespace.access.secret_key) not in said(first)
    assert [pods_of(place, member) for member in records] == [1, 1] and place.names("pytorchjobs") == []

    before = record_files(place)
    assert len(before) == 2
    again, well = run_pipeline(place, package, study)
    assert well, said(again)
    assert [s.step for s in again.steps] == ["plan-study", *ANSWER, *LAST]
    assert again.of("plan-study")[0].parameters == {**first.of("plan-study")[0].parameters, "members": []}
    assert record_files(place) == before and [pods_of(place, member) for member in records] == [1, 1]


def test_a_member_that_cannot_succeed_fails_its_step_alone_and_the_log_ends_with_the_reason(
        place: Place, package: Package, tmp_path: Path) -> None:
    walk, well = run_pipeline(place, package, write_study(tmp_path, seeds=1, epochs=2, more=ONE_CANNOT))
    assert not well
    doomed, good = sorted(members.begun(place.store), key=lambda m: m.startswith("wrn-10-1"))
    [failed] = [s for s in walk.steps if s.exit_code]
    reason = members.read_failure(place.store, doomed)
    assert failed.step == "train-member" and reason and "the loss became" in reason
    assert reason in failed.log.rstrip().splitlines()[-1]
    assert members.read_record(place.store, good) is not None and pods_of(place, doomed) == 1
    assert [s.step for s in walk.steps[-4:]] == ANSWER, "the answer comes after a failure too, and nothing after it"
    assert json.loads(study_file(place, "summary.json"))["missing"] == {
        doomed: reason.removeprefix(f"member {doomed}: ")}


def test_a_retried_step_adopts_and_clean_up_ends_only_what_nobody_wants(
        place: Place, package: Package, tmp_path: Path) -> None:
    study = write_study(tmp_path, epochs=200)
    place.kubectl("patch", "cronjob", "consort-gc", "--patch", '{"spec": {"suspend": true}}')  # clean-up is tested
    pods = StepPods(place, package)
    planned = pods.run("plan-study", {"study": study.read_text(), "store": "", "grow": False}).parameters
    wanted, unwanted = planned["members"]

    def train(member: str) -> str:
        return pods.start("train-member", {"member": member, "run": planned["run"], "store": "", "target": "cluster"})

    def owners(member: str) -> set[str]:
        jobs = {job["metadata"]["name"]: job for job in place.namespace.get("pytorchjobs")["items"]}
        return {o["name"] for o in jobs.get(member, {"metadata": {}})["metadata"].get("ownerReferences", [])}

    first, retried, left = train(wanted), train(wanted), train(unwanted)
    place.wait_for("both steps' job", lambda: owners(wanted) == {first, retried})
    place.wait_for("the other member's job", lambda: owners(unwanted) == {left})
    pods.terminate(first)
    pods.terminate(left)
    assert set(place.names("pytorchjobs")) == {wanted, unwanted}, "they were not ended by the steps themselves"
    cleaned = pods.run("clean-up", {"target": "cluster"})
    assert cleaned.exit_code == 0 and unwanted in cleaned.log and wanted not in cleaned.log
    assert place.names("pytorchjobs") == [wanted]
    ended = pods.end(retried)
    assert ended.exit_code == 0, ended.log
    assert ended.metadata["metrics"]["attempts"] == 1 and pods_of(place, wanted) == 1
