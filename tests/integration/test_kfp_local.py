"""The whole pipeline, run by kfp on this machine: each step is the process that KFP would start in a pod."""

import builtins
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kfp import local

from consort import members
from consort.store.folder import FolderStore
from consort_components.confirm_answer.component import confirm_answer
from consort_pipelines.train_ensembles import train_ensembles

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:You may be attemping to run a task that uses custom:RuntimeWarning"),
]

STUDY = """
name = "pipe"
data = { source = "digits", train_images = 160, val_images = 100 }
recipe = { name = "fast", epochs = 2, batch_size = 32, flip = false, crop_padding = 1 }
latency = { repeats = 3 }
[architectures]
"""
GOOD = STUDY + '"wrn-10-1" = 2\n'
ONE_CANNOT = STUDY + '"wrn-10-1" = 1\n"wrn-10-2" = { seeds = 1, recipe = { learning_rate = 1e30 } }\n'


@pytest.fixture(autouse=True, scope="module")
def print_as_before() -> Iterator[None]:
    """kfp.local indents what tasks print by replacing `print`; two tasks at once leave it replaced."""
    before = builtins.print
    yield
    builtins.print = before


@dataclass(frozen=True)
class Ran:
    """One execution of the pipeline."""

    store: FolderStore
    artifacts: Path
    """Where kfp put the outputs of this execution, a folder per step."""
    error: str
    """Empty where it ended well."""

    def study_file(self, name: str) -> bytes:
        (key,) = [k for k in self.store.list("studies") if k.endswith(name)]
        return self.store.read(key)

    def states(self) -> dict[str, bool]:
        return {m: members.read_record(self.store, m) is not None for m in members.begun(self.store)}

    def steps(self, name: str) -> list[Path]:
        return sorted(p for p in self.artifacts.rglob(name) if p.is_dir())

    def metrics(self, step: str) -> list[dict]:
        """The metrics of every execution of a step."""
        outputs = [json.loads((p / "executor_output.json").read_text()) for p in self.steps(step)]
        return [o["artifacts"]["metrics"]["artifacts"][0]["metadata"] for o in outputs if "artifacts" in o]


def run_pipeline(study: str, folder: Path, number: int = 0) -> Ran:
    artifacts = folder / f"artifacts-{number}"
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(artifacts), raise_on_error=True)
    error = ""
    try:
        train_ensembles()(study=study, store=str(folder / "store"), target="local")
    except RuntimeError as e:
        error = str(e)
    return Ran(FolderStore(folder / "store"), artifacts, error)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Ran:
    with quiet():
        return run_pipeline(GOOD, tmp_path_factory.mktemp("pipeline"))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A fixture has no marks of its own, so the warning that kfp gives about images is left out here."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You may be attemping", RuntimeWarning)
        yield


def test_the_pipeline_goes_from_the_study_to_the_answer(ran: Ran) -> None:
    assert ran.error == ""
    assert list(ran.states().values()) == [True, True]
    summary = json.loads(ran.study_file("summary.json"))
    assert summary["missing"] == {} and {r["ensemble"] for r in summary["rows"]} >= {"1 x wrn-10-1", "2 x wrn-10-1"}


def test_report_and_metrics_are_artifacts(ran: Ran) -> None:
    summary = json.loads(ran.study_file("summary.json"))
    for step in ("report", "confirm-answer"):
        (folder,) = ran.steps(step)
        assert (folder / "page").read_bytes() == ran.study_file("report.html")
        assert (folder / "table").read_bytes() == ran.study_file("table.md")
    assert summary["answer"] in ran.study_file("table.md").decode()
    (answer,) = ran.metrics("evaluate-ensembles")
    assert answer["accuracy"] == summary["answers"][0]["accuracy"] and answer["missing_members"] == 0
    assert all(answer.get(name) == summary["answers"][0][name] for name in ("ensemble", "versus"))
    of_members = ran.metrics("train-member")
    assert {m["member"] for m in of_members} == set(ran.states())
    assert set(of_members[0]) == {"member", "val_accuracy", "macs", "train_seconds", "attempts"}


def test_members_that_share_a_job_share_a_step(tmp_path: Path, cache: Path) -> None:
    ran = run_pipeline(GOOD + "[cluster]\nmembers_per_job = 2\n", tmp_path)
    assert ran.error == "" and list(ran.states().values()) == [True, True]
    first, second = ran.states()
    [of_pack] = ran.metrics("train-member")
    assert of_pack["member"] == f"{first}, {second}"
    assert {name.removesuffix(f"_{first}") for name in of_pack if name.endswith(first)} == {
        "val_accuracy", "macs", "train_seconds", "attempts"}
    assert len(of_pack) == 1 + 2 * 4


def test_what_is_recommended_is_a_model_in_the_end(ran: Ran) -> None:
    (folder,) = ran.steps("export-bundle")
    bundle = folder / "bundle"
    (output,) = json.loads((folder / "executor_output.json").read_text())["artifacts"]["bundle"]["artifacts"]
    choices, manifest = json.loads(ran.study_file("choices.json")), json.loads((bundle / "manifest.json").read_text())
    assert output["metadata"]["candidate"] == manifest["candidate"] == choices["choices"][0]["candidate"]
    assert output["metadata"]["accuracy"] == manifest["measured"]["test"]["accuracy"]
    assert (bundle / "model.onnx").stat().st_size > 100_000


def test_the_page_needs_nothing_that_a_sandboxed_frame_lacks(ran: Ran) -> None:
    page = ran.study_file("report.html").decode()
    for lacking in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "window.top", "fetch(",
                    'src="http', 'href="http', "import("):
        assert lacking not in page


def test_a_second_run_trains_nothing(ran: Ran) -> None:
    def written() -> dict[str, int]:
        return {key: (ran.store.root / key).stat().st_mtime_ns for key in ran.store.list("members")}

    before = written()
    again = run_pipeline(GOOD, ran.store.root.parent, 1)

    assert again.error == "" and again.steps("train-member") == [] and again.steps("report") != []
    assert written() == before


def test_a_member_that_cannot_be_trained_stops_no_other_and_turns_the_run_red(
        tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran = run_pipeline(ONE_CANNOT, tmp_path)

    good, bad = sorted(ran.states())
    assert ran.states() == {good: True, bad: False}
    assert "FAILURE" in ran.error
    reason = members.read_failure(ran.store, bad)
    assert reason
    assert json.loads(ran.study_file("summary.json"))["missing"] == {bad: reason.removeprefix(f"member {bad}: ")}
    assert bad in ran.study_file("table.md").decode()
    assert reason in capfd.readouterr().out


def test_an_answer_that_is_older_than_its_members_is_given_anew(tmp_path: Path, cache: Path) -> None:
    """Retry in KFP: the member that was missing is there, the exit tasks are not repeated."""
    ran = run_pipeline(GOOD, tmp_path)
    (key,) = [k for k in ran.store.list("studies") if k.endswith("summary.json")]
    run, late = "/".join(key.split("/")[1:3]), sorted(ran.states())[0]
    record, away = ran.store.root / "members" / late / "member.json", tmp_path / "member.json"
    record.rename(away)
    for command in ("evaluate", "report"):
        subprocess.run([sys.executable, "-m", "consort", command, run, "--store", str(ran.store.root)], check=True)
    away.rename(record)
    assert set(json.loads(ran.study_file("summary.json"))["missing"]) == {late}

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "retried"), raise_on_error=True)
    confirmed = confirm_answer(run=run, store=str(ran.store.root))

    assert json.loads(ran.study_file("summary.json"))["missing"] == {}
    assert Path(confirmed.outputs["page"].path).read_bytes() == ran.study_file("report.html")
    assert Path(confirmed.outputs["table"].path).read_bytes() == ran.study_file("table.md")
