"""A store and what commands print of it, both made by version 0.1.0 before there was a `Run`: they stay as they are.

tests/older_store.zip has `store/` (a study of three tiny networks, and a search with its winners' study; weights and
reports left out) and `printed/`, the output of commands with --json.
"""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consort.cli.app import app
from consort.errors import MissingKey
from consort.run.answer import evaluate
from consort.run.choices import choices
from consort.run.run import open_run
from consort.store.folder import FolderStore
from consort.study.file import parse_study

ARCHIVE = Path(__file__).parents[2] / "older_store.zip"
STUDY, SEARCH = "old/84afbf0835", "looking/f85d677314"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "name"), [
    (["plan", STUDY], "plan.json"), (["winners", SEARCH], "winners.json"), (["members"], "members.json")])
def test_commands_print_what_they_printed(folder: Path, arguments: list[str], name: str) -> None:
    """Keys may be added."""
    done = CliRunner().invoke(app, [*arguments, "--store", str(folder / "store"), "--json"], catch_exceptions=False)
    before = json.loads((folder / "printed" / name).read_text())
    assert _without_new_keys(json.loads(done.stdout), before) == before


def test_a_search_of_then_ends_as_it_would_have_then_and_one_of_now_trains_the_best_twice(folder: Path) -> None:
    stored = open_run(FolderStore(folder / "store"), SEARCH, folder / "cache").study.search
    assert stored is not None and (stored.retrained, stored.singles) == (0, 0)
    now = parse_study(read_study_text(folder), "study.toml").search
    assert now is not None and now.singles == 2


def read_study_text(folder: Path) -> str:
    """The file of the older search."""
    return str(json.loads((folder / "store" / "studies" / SEARCH / "plan.json").read_text())["study_text"])


def test_an_evaluation_finds_the_same_and_trains_nothing(folder: Path) -> None:
    """Columns and keys may be added; what was there has the values that it had, but for three things. A row was held
    against the best single that costs no less, and is held against the best that costs no more. Temperatures of so few
    images are held near 1. The parallel latency is the median of the slowest member's pass, no longer the largest
    median. And arithmetic means have more digits.
    """
    store = FolderStore(folder / "store")
    run = open_run(store, STUDY, folder / "cache")
    before, rows_before = run.summary(), _rows(run.read("results.csv"))
    assert run.unfinished() == {} and {record.id for record in run.records()} == set(run.ids)
    evaluate(run, before["context"]["command"])
    same = [name for name in rows_before[0] if not name.startswith(("versus_", "gain_")) and name not in (
        "temperature", "nll_calibrated", "ece_calibrated", "latency_parallel_ms", "pareto_latency_parallel")]
    assert len(same) > 30
    for row, row_before in zip(_rows(run.read("results.csv")), rows_before, strict=True):
        for name in same:
            assert row[name] == row_before[name] or float(row[name]) == pytest.approx(float(row_before[name]), 1e-5)
    after = json.loads(run.read("summary.json"))
    assert before.keys() <= after.keys()
    for part in ("study", "run", "question", "members", "latencies", "missing", "test_images", "classes"):
        assert _without_new_keys(after[part], before[part]) == before[part]


def test_a_run_from_before_there_were_choices_is_answered_from_its_logits(folder: Path) -> None:
    arguments = ["answer", STUDY, "--store", str(folder / "store"), "--macs", "1M"]
    for _ in range(2):  # computed, then read
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0 and done.stdout.startswith("Within 1 M MACs: one ")
    run = open_run(FolderStore(folder / "store"), STUDY, folder / "cache")
    found, _ = choices(run)
    assert found.headline.text == run.summary()["answer"]
    assert [one.costs.serial_ms for one in found.candidates if one.kind == "single"] == [
        latency["median_ms"] for latency in run.summary()["latencies"]]


def test_a_run_that_was_never_evaluated_says_what_to_run(folder: Path) -> None:
    run = open_run(FolderStore(folder / "store"), STUDY, folder / "cache")
    (folder / "store" / run.key("summary.json")).unlink()
    with pytest.raises(MissingKey, match=f"{STUDY} has not been evaluated.*consort evaluate {STUDY}"):
        choices(run)


def _without_new_keys(after: Any, before: Any) -> Any:
    if isinstance(before, dict):
        return {key: _without_new_keys(value, before[key]) for key, value in after.items() if key in before}
    if isinstance(before, list) and len(after) == len(before):
        return [_without_new_keys(*pair) for pair in zip(after, before, strict=True)]
    return after


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(data.decode().splitlines()))


def test_list_status_and_logs_of_a_folder_ask_no_cluster(folder: Path) -> None:
    store, run = ["--store", str(folder / "store")], STUDY

    def out(*arguments: str) -> str:
        return CliRunner().invoke(app, [*arguments, *store], catch_exceptions=False).stdout

    listed = {of["run"]: of for of in json.loads(out("list", "--json"))}
    assert {STUDY, SEARCH} <= listed.keys()
    assert listed[STUDY]["members"] == listed[STUDY]["done"] > 0 and listed[STUDY]["finished_at"].startswith("20")
    assert listed[STUDY]["answered"] and listed[STUDY]["active_jobs"] == 0
    assert listed[STUDY]["answer"] in out("list") and listed[SEARCH]["members"] == 0
    states = json.loads(out("status", run, "--json"))
    assert {state["state"] for state in states} == {"done"}
    assert f"{len(states)} of {len(states)} members of {STUDY} are done" in out("status", run)
    assert f"of {STUDY}" in out("members")
    assert out("logs", states[0]["member"]).startswith("done 20")
