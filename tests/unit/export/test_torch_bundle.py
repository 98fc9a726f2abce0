"""A bundle for PyTorch keeps the same promises as one of ONNX."""

import json
import re
import zipfile

import pytest
import torch

from bundle_checks import ALONE, alone, states, study_images
from consort.errors import InputError
from consort.export.running import BundleError, open_session, read_manifest
from consort.export.torch_program import check_torch
from consort.export.verify import verify

WITHOUT_CONSORT = ALONE.replace('modules["torch"]', 'modules["onnxruntime"]')


def test_a_program_for_torch_keeps_the_same_promises(world, bundle, torch_bundle):
    checks = verify(torch_bundle, study_images(world, torch_bundle))
    assert states(checks) == {"files": True, "examples": True, "accuracy": True, "study": True, "asked again": None,
                              "latency": None}
    manifest, of_onnx = read_manifest(torch_bundle), read_manifest(bundle)
    assert manifest["model"] == "model.pt2" and manifest["latency"]["runtime"] == "torch"
    assert manifest["study_agreement"]["exact"]
    for number in ("accuracy", "mean_macs", "nll"):
        assert manifest["measured"]["test"][number] == pytest.approx(of_onnx["measured"]["test"][number], rel=1e-3)
    assert manifest["name"] == "small-c1-torch", "both can be deployed beside each other"
    assert {path.name for path in (torch_bundle / "serve").iterdir()} == {"Dockerfile", "deployment.yaml"}
    assert " torch==2" in (torch_bundle / "serve/Dockerfile").read_text()


def test_a_program_for_torch_is_verified_and_run_without_onnxruntime_and_consort(world, torch_bundle):
    data = world.store.root / "data" / world.data.fingerprint
    done = alone(torch_bundle, "verify.py", "--data", str(data), "--json", with_out=WITHOUT_CONSORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {c["name"]: c["ok"] for c in json.loads(done.stdout)["checks"]}["study"] is True
    expected = json.loads((torch_bundle / "examples/expected.json").read_text())
    shown = alone(torch_bundle, "predict.py", *(str(torch_bundle / "examples" / e["file"]) for e in expected),
                  with_out=WITHOUT_CONSORT)
    assert shown.returncode == 0, shown.stderr
    assert [line.rsplit(" ", 1)[1] for line in shown.stdout.splitlines()] == [str(e["members_asked"]) for e in expected]
    refused = alone(torch_bundle, "verify.py")
    assert refused.returncode == 2 and "needs torch: pip install torch numpy pillow" in refused.stderr


def test_the_same_choice_gives_the_same_bytes_for_torch(world, torch_bundle, tmp_path):
    again = world.export(world.cascade([0, 2]), tmp_path / "again", format="torch")
    names = [*read_manifest(torch_bundle)["files"], "manifest.json"]
    assert [name for name in names if (torch_bundle / name).read_bytes() != (again / name).read_bytes()] == []


@pytest.mark.parametrize("version", ["2.6.0", "2.8.0+cpu"])
def test_a_torch_that_would_pickle_weights_is_refused_before_anything_is_written(world, tmp_path, monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(InputError, match=rf"from torch 2\.9 on, .* this is torch {re.escape(version)}: pip install"):
        world.export(world.cascade([0, 2]), tmp_path / "bundle", format="torch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["2.9.0", "2.10.1+cu130", "2.15.0"])
def test_a_torch_that_pickles_no_weights_is_taken(monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", version)
    check_torch()


def test_a_program_that_is_none_is_said(torch_bundle, tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"model\.pt2 cannot be loaded: .+"):
        open_session(tmp_path / "model.pt2")


def test_a_program_of_a_newer_torch_is_said_in_one_line(torch_bundle, tmp_path, capfd):
    with zipfile.ZipFile(torch_bundle / "model.pt2") as given, zipfile.ZipFile(tmp_path / "model.pt2", "w") as newer:
        for entry in given.infolist():
            content = given.read(entry)
            if entry.filename.endswith("models/model.json"):
                content = json.dumps(json.loads(content) | {"schema_version": {"major": 99, "minor": 0}}).encode()
            newer.writestr(entry, content)
    with pytest.raises(BundleError, match=r"model\.pt2 cannot be loaded: .*schema version .*99"):
        open_session(tmp_path / "model.pt2")
    assert "Traceback" not in capfd.readouterr().err
