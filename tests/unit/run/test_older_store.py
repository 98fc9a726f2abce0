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
from consort.run.answer import evaluate
from consort.run.run import open_run
from consort.store.folder import FolderStore

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


def test_an_evaluation_finds_the_same_and_trains_nothing(folder: Path) -> None:
    """Columns and keys may be added; what was there has the values that it had."""
    store = FolderStore(folder / "store")
    run = open_run(store, STUDY, folder / "cache")
    before, rows_before = run.summary(), _rows(run.read("results.csv"))
    assert run.unfinished() == {} and {record.id for record in run.records()} == set(run.ids)
    evaluate(run, before["context"]["command"])
    assert [{name: row[name] for name in rows_before[0]} for row in _rows(run.read("results.csv"))] == rows_before
    after = json.loads(run.read("summary.json"))
    assert before.keys() <= after.keys()
    for part in ("study", "run", "question", "members", "latencies", "missing", "test_images", "classes"):
        assert after[part] == before[part]


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
