"""`consort run` as a process, from a study file to its answer, also when it is disturbed."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pyarrow import parquet
from small_members import (
    DATA,
    PATIENCE_SECONDS,
    World,
    consort,
    lines_until,
    processes_with,
    read_json,
    start,
    study_files,
    wait_until,
)

SHORT, LONG = 1, 60
"""Epochs: LONG ones, of 300 steps, are interrupted in the middle."""
TWO_AND_TWO = {"wrn-10-1": 2, "wrn-10-2": 2}


def write_study(folder: Path, architectures: Mapping[str, object], epochs: int = SHORT, workers: int = 2) -> Path:
    """A study on the digits that the tests' stores hold."""
    file = folder / "study.toml"
    rows = "\n".join(f'"{name}" = {value}' for name, value in architectures.items())
    file.write_text(f"""
name = "tiny"
question = "Two small ones or one of twice the width?"
[data]
source = "digits"
train_images = {DATA.train_images}
val_images = {DATA.val_images}
[recipe]
epochs = {epochs}
batch_size = 32
flip = false
crop_padding = 1
[architectures]
{rows}
[latency]
batch_sizes = [1, 4]
repeats = 3
[run]
workers = {workers}
checkpoint_steps = 20
""")
    return file


def member_times(store: Path) -> dict[str, int]:
    """Finished member -> when its record was written."""
    return {file.parent.name: file.stat().st_mtime_ns for file in store.glob("members/*/member.json")}


def attempts(store: Path) -> list[int]:
    return [read_json(file)["attempts"] for file in store.glob("members/*/member.json")]


def done_members(output: str) -> list[str]:
    """The members that a run says are done."""
    return re.findall(r"^(\S+)  done \(", output, re.M)


def one_line(output: str) -> str:
    """What was printed, without the breaks between words that a console puts in."""
    return " ".join(output.split())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, new_world: Callable[..., World]
          ) -> tuple[World, subprocess.CompletedProcess[str]]:
    """A study that ran to its end."""
    world = new_world()
    study = write_study(tmp_path_factory.mktemp("first"), TWO_AND_TWO)
    return world, consort("run", str(study), "--store", world.store.uri)


@pytest.fixture
def copy(first: tuple[World, subprocess.CompletedProcess[str]], new_world: Callable[..., World]) -> Path:
    """The store after that study, for a test to change."""
    return new_world(first[0]).store.root


@pytest.fixture
def run_only_members(tmp_path: Path, world: World) -> list[str]:
    """Arguments of a run that trains one long member."""
    study = write_study(tmp_path, {"wrn-10-1": 1}, LONG, workers=1)
    return ["run", str(study), "--store", world.store.uri, "--only", "members"]


def test_a_run_ends_with_the_answer(first: tuple[World, subprocess.CompletedProcess[str]]) -> None:
    world, done = first
    assert (done.returncode, done.stderr) == (0, "")
    files = study_files(world.store.root, "tiny")
    assert set(files) == {"plan.json", "study.toml", "results.csv", "results.parquet", "summary.json", "choices.json",
                          "evidence.npz", "report.html", "table.md", "accuracy-macs.png",
                          "accuracy-ms.png"}
    assert all(file.stat().st_size for file in files.values())
    summary = read_json(files["summary.json"])
    lines = done.stdout.splitlines()
    assert summary["answer"] in one_line(done.stdout) and summary["answer"].startswith("Within ")
    assert f"report: {files['report.html']}" in lines
    assert "training 4 of 4 members, 2 at a time" in lines
    assert sorted(done_members(done.stdout)) == sorted(member_times(world.store.root))
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert sorted(attempts(world.store.root)) == [1, 1, 1, 1]


def test_its_tables_have_every_ensemble(first: tuple[World, subprocess.CompletedProcess[str]]) -> None:
    files = study_files(first[0].store.root, "tiny")
    with open(files["results.csv"]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == parquet.read_table(files["results.parquet"]).num_rows
    assert {row["ensemble"] for row in rows} == {
        "1 x wrn-10-1", "2 x wrn-10-1", "1 x wrn-10-2", "2 x wrn-10-2", "1 x wrn-10-1 + 1 x wrn-10-2",
        "2 x wrn-10-1 + 1 x wrn-10-2", "1 x wrn-10-1 + 2 x wrn-10-2"}
    assert all(float(row["latency_serial_ms"]) >= float(row["latency_parallel_ms"]) > 0 for row in rows)
    summary = read_json(files["summary.json"])
    assert summary["missing"] == {} and len(summary["rows"]) == len(rows) and len(summary["latencies"]) == 2
    in_batches = [one for one in summary["more_latencies"] if not one["together"]]
    assert [(one["architecture"], one["batch_size"]) for one in in_batches] == [("wrn-10-1", 4), ("wrn-10-2", 4)]
    assert all(one["costs"]["batch_ms"].keys() == {"4"} for one in read_json(files["choices.json"])["candidates"])
    assert "1 x wrn-10-2" in files["table.md"].read_text() and "wrn-10-2" in files["report.html"].read_text()


def test_a_second_run_trains_nothing(copy: Path, tmp_path: Path) -> None:
    before = member_times(copy)
    done = consort("run", str(write_study(tmp_path, TWO_AND_TWO)), "--store", str(copy))
    assert (done.returncode, done.stderr) == (0, "")
    assert "training" not in done.stdout and "Within " in done.stdout
    assert len(before) == 4 and member_times(copy) == before


def test_a_study_grows_stage_by_stage(copy: Path, tmp_path: Path) -> None:
    before = member_times(copy)
    shutil.rmtree(copy / "studies")
    run = ("run", str(write_study(tmp_path, TWO_AND_TWO | {"wrn-10-1": 3})), "--store", str(copy), "--only")
    early = consort(*run, "report")
    assert early.returncode == 2 and "consort evaluate" in early.stderr and "Traceback" not in early.stderr
    done = consort(*run, "members")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training 1 of 5 members" in done.stdout and len(done_members(done.stdout)) == 1
    after = member_times(copy)
    assert len(after) == 5 and before.items() <= after.items()
    assert set(study_files(copy, "tiny")) == {"plan.json"}
    done = consort(*run, "evaluate")
    assert done.returncode == 0, done.stderr
    assert set(study_files(copy, "tiny")) == {"plan.json", "study.toml", "results.csv", "results.parquet",
                                              "summary.json", "choices.json", "evidence.npz"}
    done = consort(*run, "report")
    assert done.returncode == 0, done.stderr
    assert "3 x wrn-10-1" in study_files(copy, "tiny")["report.html"].read_text()
    assert member_times(copy) == after


def test_two_runs_of_one_study_share_the_work(world: World, tmp_path: Path) -> None:
    study = write_study(tmp_path, {"wrn-10-1": 2}, epochs=20)
    command = ("run", str(study), "--store", world.store.uri, "--only", "members")
    runs = [start(*command) for _ in range(2)]
    outputs = [run.communicate(timeout=PATIENCE_SECONDS) for run in runs]
    assert [(run.returncode, errors) for run, (_, errors) in zip(runs, outputs, strict=True)] == [(0, "")] * 2
    finished = member_times(world.store.root)
    assert attempts(world.store.root) == [1, 1]
    for out, _ in outputs:
        assert sorted(done_members(out)) == sorted(finished)


def test_a_member_that_cannot_be_trained_is_reported_missing(copy: Path, tmp_path: Path) -> None:
    hopeless = TWO_AND_TWO | {"wrn-16-1": "{ seeds = 1, recipe = { learning_rate = 1e12 } }"}
    shutil.rmtree(copy / "studies")
    run = ("run", str(write_study(tmp_path, hopeless)), "--store", str(copy))
    done = consort(*run)
    assert done.returncode == 4
    assert "Within " in done.stdout
    assert done.stderr.startswith("error: 1 of 5 members is missing; what finished is kept:\n  wrn-16-1-s0-")
    assert "the loss became" in done.stderr and "learning rate" in done.stderr and "Traceback" not in done.stderr
    files = study_files(copy, "tiny")
    ((member, reason),) = read_json(files["summary.json"])["missing"].items()
    assert member.startswith("wrn-16-1-s0-") and "the loss became" in reason
    assert member in files["report.html"].read_text()
    again = consort(*run, "--only", "members")
    assert (again.returncode, again.stdout) == (4, "") and member in again.stderr


def start_and_wait_for_a_checkpoint(command: list[str], world: World) -> subprocess.Popen[str]:
    process = start(*command)
    wait_until(lambda: any(key.endswith("newest.json") for key in world.store.list("members")))
    return process


def test_ctrl_c_stops_and_the_same_command_goes_on(run_only_members: list[str], world: World) -> None:
    process = start_and_wait_for_a_checkpoint(run_only_members, world)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (130, "")
    assert "stopped; members in training saved their state. The same command goes on from there." in one_line(out)
    assert list(processes_with(world.store.uri)) == []
    assert member_times(world.store.root) == {}
    done = consort(*run_only_members)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^wrn-10-1-s0-\w+  resumed at step [1-9]\d* of 300$", done.stdout, re.M)
    assert attempts(world.store.root) == [2]


def test_a_killed_member_is_started_again(run_only_members: list[str], world: World) -> None:
    process = start_and_wait_for_a_checkpoint(run_only_members, world)
    ((member, _),) = [(pid, command) for pid, command in processes_with(world.store.uri) if "train" in command]
    os.kill(member, signal.SIGKILL)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert re.search(r"^\S+  retry: its process was killed .*\n\S+  resumed at step \d+ of 300$", out, re.M)
    assert attempts(world.store.root) == [2]


@pytest.mark.parametrize("name", ["logits-test.npy", "weights.safetensors"])
def test_an_altered_member_is_an_error(copy: Path, tmp_path: Path, name: str) -> None:
    member = sorted(member_times(copy))[0]
    file = copy / "members" / member / name
    os.truncate(file, file.stat().st_size - 1)
    study = str(write_study(tmp_path, TWO_AND_TWO))
    command = ("run", study) if name.startswith("logits") else ("predict", "--member", member, "--recompute")
    done = consort(*command, "--store", str(copy))
    assert done.returncode == 5
    assert done.stderr.startswith(f"error: members/{member}/{name} was altered")
    assert "consort rm" in done.stderr and "Traceback" not in done.stderr


def test_a_stopped_run_leaves_no_process_behind(run_only_members: list[str], world: World) -> None:
    """SIGTERM, as a service manager sends it, while the members' processes still start."""
    process = start(*run_only_members)
    lines_until(process, lambda line: line.startswith("training"))
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert list(processes_with(world.store.uri)) == []


def grown(study: Path, world: World) -> str:
    """Run a study that grows; what it printed beside warnings."""
    done = consort("run", str(study), "--grow", "--store", world.store.uri)
    assert (done.returncode, done.stderr) == (0, "")
    return "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("warning: "))


def test_a_study_grows_by_one_seed_per_run_until_it_has_enough(world: World, tmp_path: Path) -> None:
    study = write_study(tmp_path, {"wrn-10-1": 1, "wrn-10-2": 1})
    study.write_text(study.read_text() + "[grow]\nseeds = 1\nmax_seeds = 2\n")
    assert "level 0: the study as it is written\ntraining 2 of 2 members" in grown(study, world)
    first = member_times(world.store.root)
    assert "level 1: one more seed of 2 architectures\ntraining 2 of 4 members" in grown(study, world)
    second = member_times(world.store.root)
    assert first.items() <= second.items()
    assert [m.rpartition("-")[0] for m in sorted(second.keys() - first.keys())] == ["wrn-10-1-s1", "wrn-10-2-s1"]
    out = grown(study, world)
    assert out.startswith("level 1: every architecture has its 2 seeds or more: nothing to train\n")
    assert "training" not in out and "Within " in out
    assert member_times(world.store.root) == second
    planned = json.loads(consort("plan", str(study), "--grow", "--json", "--store", world.store.uri).stdout)
    assert (planned["level"], len(planned["members"])) == (1, 4)
    assert planned["ref"] == f"tiny/{planned['run']}"


def test_a_planned_run_needs_neither_study_file_nor_source(copy: Path, tmp_path: Path) -> None:
    (run,) = (copy / "studies" / "tiny").iterdir()
    ref, store = f"tiny/{run.name}", ("--store", str(copy))
    for name in ("summary.json", "report.html"):
        (run / name).unlink()
    lost = sorted(member_times(copy))[0]
    (copy / "members" / lost / "member.json").unlink()
    (copy / "members" / lost / "setback.json").write_text(json.dumps({"reason": "its pod was evicted"}))
    shutil.rmtree(copy / "latency")
    done = consort("predict", ref, "--no-latency", *store)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (copy / "members" / sorted(member_times(copy))[0] / "logits-val.npy").unlink()
    done = consort("predict", ref, *store)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["predicted"] + 4 * ["measured"]
    done = consort("evaluate", ref, *store, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing"] == {lost: "its pod was evicted"}
    assert consort("report", ref, *store, "--output", str(tmp_path / "copy")).returncode == 0
    assert "its pod was evicted" in (run / "report.html").read_text()
    copied = {file.name for file in (tmp_path / "copy").iterdir()}
    assert copied == {file.name for file in run.iterdir()} - {"plan.json"}


def test_nothing_to_predict_needs_no_torch(copy: Path) -> None:
    (run,) = (copy / "studies" / "tiny").iterdir()
    command = ["predict", f"tiny/{run.name}", "--store", str(copy)]
    program = ("import sys, consort.cli\n"
               "sys.modules['torch'] = sys.modules['safetensors'] = None\n"  # importing them fails
               "consort.cli.main()\n")
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
