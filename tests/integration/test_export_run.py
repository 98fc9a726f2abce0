"""From a study that was run to bundles, by the command line: the recommended candidate, one by its id, by a budget."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_members import World, consort
from test_cli import Done
from test_local_run import write_study

from consort import cli
from consort.export.running import read_manifest


@pytest.fixture(scope="module")
def ran(new_world, tmp_path_factory) -> Iterator[tuple[World, str]]:
    """A store with a run of four members, and the run's name."""
    world: World = new_world()
    study = write_study(tmp_path_factory.mktemp("study"), {"wrn-10-1": 2, "wrn-10-2": 1})
    study.write_text(study.read_text().replace("flip = false", 'flip = false\nprecision = "float32"').replace(
        "repeats = 3", 'repeats = 3\nruntime = "onnxruntime"'))
    done = consort("run", study, "--store", world.store.root)
    assert done.returncode == 0, done.stderr
    yield world, f"tiny/{next((world.store.root / 'studies/tiny').iterdir()).name}"


@pytest.fixture
def call(capfd, monkeypatch) -> Callable[..., Done]:
    """Run a command in this process."""
    def call(*arguments: object) -> Done:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["consort", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Done(int(end.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def exported(ran, call) -> Callable[..., dict]:
    """Export to a folder; the manifest."""
    def exported(folder: Path, *arguments: object) -> dict:
        world, run = ran
        done = call("export", run, *arguments, "--store", world.store.root, "--output", folder, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["manifest"] == read_manifest(folder)
        return read_manifest(folder)

    return exported


def choices_of(ran: tuple[World, str]) -> dict:
    world, run = ran
    return json.loads((world.store.root / f"studies/{run}/choices.json").read_text())


def test_what_is_recommended_is_what_is_exported_and_verified(ran, call, exported, tmp_path):
    manifest, found = exported(tmp_path / "bundle"), choices_of(ran)
    wanted = next(c for c in found["candidates"] if c["id"] == found["choices"][0]["candidate"])
    assert manifest["candidate"] == wanted["id"] and manifest["label"] == wanted["label"]
    assert [m["id"] for m in manifest["members"]] == wanted["members"]
    assert manifest["measured"]["test"]["accuracy"] == pytest.approx(wanted["test"]["accuracy"], abs=2e-3)
    assert manifest["measured"]["val"]["mean_macs"] == pytest.approx(wanted["costs"]["macs"], rel=0.01)
    assert manifest["latency"]["sum_of_members"] == {"runtime": "onnxruntime",
                                                     "serial_ms": round(wanted["costs"]["serial_ms"], 4)}
    done = call("verify", tmp_path / "bundle", "--store", ran[0].store.root, "--json")
    assert done.code == 0, done.out + done.err
    study = next(c for c in json.loads(done.out)["checks"] if c["name"] == "study")
    assert manifest["study_agreement"]["exact"] and study["ok"] is True, "trained in float32"
    assert study["values"]["same_class"] >= 0.999 and study["values"]["largest_difference"] <= 1e-3


def test_what_differs_is_named_with_exit_code_4_and_what_cannot_be_verified_with_2(ran, call, exported, tmp_path):
    manifest, bundle = exported(tmp_path / "bundle"), tmp_path / "bundle"
    store = ("--store", ran[0].store.root)
    slow = call("verify", bundle, *store, "--budget-ms", "0.000001")
    assert slow.code == 4 and "DIFFERS  latency" in slow.out and "ok       study" in slow.out
    unknown = call("verify", bundle, *store, "--runtime", "onnx")
    assert unknown.code == 2 and "onnxruntime" in unknown.err
    (bundle / "labels.txt").write_text("cat\n")
    changed, as_json = call("verify", bundle, *store), call("verify", bundle, *store, "--json")
    assert changed.code == as_json.code == 4 and "DIFFERS  files        labels.txt was altered" in changed.out
    assert json.loads(as_json.out)["ok"] is False
    assert json.loads(as_json.out)["checks"][0]["values"] == {"wrong": ["labels.txt was altered"]}
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    newer = call("verify", bundle, *store)
    assert newer.code == 2 and "has format 99, and this verifier reads up to 1" in newer.err


def test_a_candidate_by_its_id_and_within_a_budget(ran, exported, tmp_path):
    costs = {c["id"]: c["costs"] for c in choices_of(ran)["candidates"]}
    last = max(costs)
    assert exported(tmp_path / "named", last)["candidate"] == last
    single = min(one["macs_worst"] for one in costs.values())
    within = exported(tmp_path / "within", "--macs", int(single), "--worst")
    assert costs[within["candidate"]]["macs_worst"] <= single and len(within["members"]) == 1


@pytest.mark.parametrize("arguments,said", [
    (["c99"], "unknown candidate 'c99'"), (["--macs", "7"], "nothing fits: what costs least takes"),
    (["c0", "--macs", "10M"], "give one of them"), (["--members", "wrn-10-1-s0", "--ms", "3"], "give one of them"),
    (["--format", "tensorflow"], "unknown format 'tensorflow': known: onnx, torch")])
def test_what_cannot_be_exported_is_said(ran, call, tmp_path, arguments, said):
    world, run = ran
    done = call("export", run, *arguments, "--store", world.store.root, "--output", tmp_path / "bundle")
    assert done.code == 2 and said in done.err and not (tmp_path / "bundle").exists()


def test_a_run_of_before_there_were_choices_gets_them(ran, call, tmp_path):
    world, run = ran
    older = tmp_path / "older"
    shutil.copytree(world.store.root, older)
    for name in ("choices.json", "evidence.npz"):
        (older / f"studies/{run}" / name).unlink()
    done = call("export", run, "--store", older, "--output", tmp_path / "bundle", "--json")
    assert done.code == 0, done.err
    assert read_manifest(tmp_path / "bundle")["members"]
    (older / f"studies/{run}/summary.json").unlink()
    (older / f"studies/{run}/choices.json").unlink()
    refused = call("export", run, "--store", older, "--output", tmp_path / "never")
    assert refused.code == 2 and "has not been evaluated" in refused.err
