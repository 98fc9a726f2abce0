"""A study on a real cluster, judged by what lies in the store afterwards: the same as a run on one machine leaves."""

import io
import json
import signal
import time
from pathlib import Path

import numpy as np
from durable_minio import DurableMinio
from place import Place
from study_files import write_study

from consort import members
from consort.store.folder import FolderStore

EXACT = """\
batch_size = 32
crop_padding = 1
learning_rate = 0.02
precision = "float32"
"""
"""A recipe that lets rounding grow little: what two processes train is close to what one does."""
TOLERANCE = 5e-3
"""On logits of size 0.6, after two epochs of EXACT. On one machine two processes and one differ by 1e-4, which is
rounding; a batch of twice the size differs by 0.4."""


def local_hashes(place: Place, study: Path, folder: Path) -> dict[str, str]:
    """Member -> sha256 of its weights after `--target local` on this machine."""
    place.consort("run", str(study), "--store", str(folder), "--only", "members", "--workers", "2")
    return {path.parent.name: json.loads(path.read_text())["files"]["weights.safetensors"]["sha256"]
            for path in sorted(folder.glob("members/*/member.json"))}


def stored_hashes(place: Place) -> dict[str, str]:
    records = {m: members.read_record(place.store, m) for m in members.begun(place.store)}
    return {m: r.files["weights.safetensors"]["sha256"] for m, r in records.items() if r is not None}


def summary_of(place: Place, study: str) -> dict:
    key = next(k for k in place.store.list(f"studies/{study}") if k.endswith("/summary.json"))
    return json.loads(place.store.read(key))


def test_cluster_gives_what_one_machine_gives_and_a_second_run_starts_nothing(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=4)
    out = place.consort("run", str(study), "--target", "cluster")
    assert "training 4 of 4 members" in out
    assert stored_hashes(place) == local_hashes(place, study, tmp_path / "local")
    summary = summary_of(place, "digits")
    assert summary["answer"] in out and len(summary["members"]) == 4 and not summary["missing"]
    created = place.created_pods()
    assert len(created) >= 5, "four members and the answer ran in pods"

    again = place.consort("run", str(study), "--target", "cluster")
    assert summary["answer"] in again
    assert place.created_pods() == created
    assert place.names("pytorchjobs") == [], "done members leave no job"


def test_an_interrupted_member_resumes_and_ends_the_same(durable_place: tuple[Place, DurableMinio],
                                                         tmp_path: Path) -> None:
    place, minio = durable_place
    study = write_study(tmp_path, seeds=2, epochs=80)
    first, second = place.planned(study)
    with place.running("run", str(study), "--target", "cluster") as run:
        place.wait_for(f"checkpoints of {first}", lambda: place.has(f"members/{first}/resume/newest.json"))
        place.kubectl("delete", "pod", f"{first}-master-0", "--wait=false")
        place.wait_for(f"checkpoints of {second}", lambda: place.has(f"members/{second}/resume/newest.json"))
        place.kill_member_process(second)
        minio.scale(0)
        time.sleep(20)
        minio.scale(1)
        assert run.wait(600) == 0, run.output()
    assert stored_hashes(place) == local_hashes(place, study, tmp_path / "local")
    attempts = {m: members.read_record(place.store, m).attempts for m in (first, second)}  # type: ignore[union-attr]
    assert min(attempts.values()) >= 2, "both were interrupted, and counted it: they resumed"


def test_a_member_that_cannot_succeed_is_named_and_does_not_loop(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, more='[architectures."wrn-10-2"]\nseeds = 1\nrecipe = { learning_rate = 1e30 }')
    out = place.consort("run", str(study), "--target", "cluster", code=4)
    doomed = next(m for m in place.planned(study) if m.startswith("wrn-10-2"))
    assert "the loss became" in out and doomed in out
    summary = summary_of(place, "digits")
    assert list(summary["missing"]) == [doomed] and "learning rate" in summary["missing"][doomed]
    assert len(summary["members"]) == 2
    assert len([p for p in place.created_pods() if doomed in p]) == 1
    place.consort("run", str(study), "--target", "cluster", code=4)
    assert len([p for p in place.created_pods() if doomed in p]) == 1, "it is known to fail"


def test_two_nodes_train_one_member_together(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=1, epochs=2, recipe=EXACT, more="nodes = 2")
    place.consort("run", str(study), "--target", "cluster", "--only", "members")
    [member] = place.planned(study)
    local = FolderStore(tmp_path / "local")
    place.consort("run", str(study), "--store", local.uri, "--only", "members")
    record, single = (members.read_record(store, member) for store in (place.store, local))
    assert record is not None and single is not None
    assert (record.processes, single.processes) == (2, 1)
    assert abs(single.val_accuracy - record.val_accuracy) < 0.05  # type: ignore[operator]
    assert single.train_images == record.train_images
    together, alone = (np.load(io.BytesIO(members.read_file(store, of_store, "logits-test.npy")))
                       for store, of_store in ((place.store, record), (local, single)))
    np.testing.assert_allclose(together, alone, rtol=0, atol=TOLERANCE, err_msg="the same global batch")


def test_two_launchers_train_each_member_once(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=3)
    place.planned(study)
    with place.running("run", str(study), "--target", "cluster") as one, \
            place.running("run", str(study), "--target", "cluster") as other:
        assert one.wait(600) == 0, one.output()
        assert other.wait(600) == 0, other.output()
    for member in place.planned(study):
        record = members.read_record(place.store, member)
        assert record is not None and record.attempts == 1
        assert len([p for p in place.created_pods() if member in p]) == 1


def test_a_pack_is_one_pod_that_goes_on_with_what_is_left(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=3, epochs=200, more="members_per_job = 3")
    first, second, third = place.planned(study)
    with place.running("run", str(study), "--target", "cluster") as run:
        place.wait_for(f"checkpoints of {second}", lambda: place.has(f"members/{second}/resume/newest.json"))
        assert place.has(f"members/{first}/member.json"), "on processors, one after another"
        [job] = place.names("pytorchjobs")
        states = {row["member"]: row for row in json.loads(place.consort("status", str(study), "--json"))}
        place.kubectl("delete", "pod", f"{job}-master-0", "--wait=false")
        assert states[first]["state"] == "done"
        assert (states[third]["state"], states[third]["pod"]) == ("running", f"{job}-master-0")
        place.wait_for(f"checkpoints of {third}", lambda: place.has(f"members/{third}/resume/newest.json"))
        told = place.consort("logs", third)
        assert third in told and first not in told and second not in told
        assert run.wait(600) == 0, run.output()
    assert stored_hashes(place) == local_hashes(place, study, tmp_path / "local")
    attempts = [members.read_record(place.store, m).attempts for m in (first, second, third)]  # type: ignore[union-attr]
    assert attempts[0] == 1 and max(attempts) >= 2, "what was done was not trained again, what was begun went on"
    assert len([pod for pod in place.created_pods() if f"{job}-master-0" in pod]) in (1, 2)
    assert not any(m in pod for m in (first, second, third) for pod in place.created_pods())
    assert place.names("pytorchjobs") == [], "a pack that is done leaves no job"


def test_one_member_of_a_pack_is_cancelled_and_the_others_go_on(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=3, epochs=80, more="members_per_job = 3")
    first, second, third = place.planned(study)
    with place.running("run", str(study), "--target", "cluster", "--only", "members") as run:
        place.wait_for(f"checkpoints of {first}", lambda: place.has(f"members/{first}/resume/newest.json"))
        [job] = place.names("pytorchjobs")
        assert f"ended PyTorchJob {job}" in place.consort("cancel", third)
        assert run.wait(600) == 4, run.output()
    assert set(stored_hashes(place)) == {first, second}
    place.consort("run", str(study), "--target", "cluster", "--only", "members")
    assert stored_hashes(place) == local_hashes(place, study, tmp_path / "local")


def test_cancel_and_gc_leave_nothing_running(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, epochs=4000)
    ids = place.planned(study)
    with place.running("run", str(study), "--target", "cluster") as run:
        place.wait_for("a checkpoint", lambda: any(place.has(f"members/{m}/resume/newest.json") for m in ids))
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
        assert "attach" in run.output()
    assert place.names("pytorchjobs"), "Ctrl-C leaves the jobs"
    assert "running" in place.consort("status", str(study))
    assert '"progress"' in place.consort("logs", ids[0], "--tail", "20")
    (tmp_path / "grown").mkdir()
    grown = write_study(tmp_path / "grown", epochs=4000, seeds=3)
    place.kubectl("apply", "-f", "-", text=place.consort("render", str(grown), "--job"))
    place.wait_for("the job of the third member", lambda: len(place.names("pytorchjobs")) == 3)
    with place.running("attach", str(study)) as attached:
        place.wait_for("progress", lambda: "epoch" in attached.output())
        place.wait_for("the time that all of it takes", lambda: "all members: " in attached.output())
        out = place.consort("cancel", str(study))
        assert attached.wait(60) == 4
        assert "has no answer yet" in attached.output()
    assert all(member in out for member in ids)
    assert place.names("pytorchjobs") == [] and place.names("pods") == []


def test_deleting_the_owning_job_deletes_the_members(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, epochs=4000)
    ids = place.planned(study)
    manifest = place.consort("render", str(study), "--job")
    place.kubectl("apply", "-f", "-", text=manifest)
    place.wait_for("the members' jobs", lambda: len(place.names("pytorchjobs")) == len(ids))
    [job] = place.names("jobs")
    place.kubectl("delete", "job", job)
    place.wait_for("nothing left", lambda: not place.names("pytorchjobs") and not place.names("pods"), 120)


def test_a_rendered_study_runs_with_kubectl_alone(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    accepted = place.consort("render", str(study), "--dry-run", "server")
    assert accepted.count("accepted: PyTorchJob") == 2 and "accepted: Job" in accepted
    place.kubectl("apply", "-f", "-", text=place.consort("render", str(study)))
    place.wait_for("the report", lambda: any(k.endswith("report.html") for k in place.store.list("studies")), 400)
    assert len(stored_hashes(place)) == 2


def test_a_schedule_grows_the_study_by_one_seed(place: Place, tmp_path: Path) -> None:
    study = write_study(tmp_path, more="[grow]\nseeds = 1\nmax_seeds = 3")
    place.planned(study)
    cron = place.consort("schedule", str(study), "--cron", "0 0 1 1 *", "--kubectl")
    place.kubectl("apply", "-f", "-", text=cron)
    for tick, expected in enumerate((2, 3)):
        place.kubectl("create", "job", f"tick-{tick}", "--from=cronjob/digits")
        place.kubectl("wait", "--for=condition=complete", f"job/tick-{tick}", "--timeout=400s")
        assert len(stored_hashes(place)) == expected


def test_overview_commands_answer_in_an_empty_namespace(place: Place) -> None:
    assert "no run was planned" in place.consort("list")
    assert "no orphans" in place.consort("gc")
