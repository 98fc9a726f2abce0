"""A bundle is written whole, runs without Consort, and the verifier notices what was changed."""

import hashlib
import json
import math
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import yaml

import exported_members
from bundle_checks import alone, states, study_images
from consort import members
from consort.cli.bundle import register
from consort.errors import InputError
from consort.export.bundle import examples_of
from consort.export.bundle_copy import fetch, put
from consort.export.chosen import chosen_of, of_members
from consort.export.combination import Combination
from consort.export.labelled_images import Images, study_answers
from consort.export.running import BundleError, open_session, read_manifest, run
from consort.export.verify import as_json, examples_check, verify
from consort.store import keys
from consort.store.folder import FolderStore


def test_it_keeps_every_promise_where_it_was_exported(world, bundle):
    checks = verify(bundle, study_images(world, bundle), budget_ms=10_000)
    assert states(checks) == {"files": True, "examples": True, "accuracy": True, "study": True, "asked again": None,
                              "latency": True}


def test_the_manifest_says_what_was_measured(world, bundle):
    manifest = read_manifest(bundle)
    assert [m["id"] for m in manifest["members"]] == [world.ids[0], world.ids[2]]
    assert manifest["combination"]["thresholds"] == [0.5] and manifest["combination"]["promise"]["loss"] == 0.01
    assert manifest["study_agreement"]["exact"] and manifest["study_agreement"]["same_class"] == 1
    test = manifest["measured"]["test"]
    assert test["images"] == 1197 and test["low"] < test["accuracy"] < test["high"]
    first, second = (m["macs"] for m in manifest["members"])
    assert 0.1 < test["asked"]["2"] < 0.9, "or the test of the cascade says nothing"
    assert test["mean_macs"] == pytest.approx(first + test["asked"]["2"] * second, rel=1e-4)
    assert manifest["latency"]["sum_of_members"] is None, "no latency of the members was measured"
    assert manifest["latency"]["threads"] == 1 and manifest["latency"]["hardware"]["cpu"]


def test_what_kubernetes_reads_is_yaml_of_one_name(bundle):
    deployment, service = yaml.safe_load_all((bundle / "serve/deployment.yaml").read_text())
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert deployment["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
    [served] = yaml.safe_load_all((bundle / "serve/kserve.yaml").read_text())
    assert served["kind"] == "InferenceService"


def test_the_same_choice_gives_the_same_bytes(world, bundle, tmp_path):
    again = world.export(world.cascade([0, 2]), tmp_path / "again")
    names = sorted(path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [name for name in names if (bundle / name).read_bytes() != (again / name).read_bytes()] == []


def test_it_is_verified_and_run_without_torch_and_without_consort(world, bundle):
    data = world.store.root / "data" / world.data.fingerprint
    done = alone(bundle, "verify.py", "--data", str(data), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {c["name"]: c["ok"] for c in found["checks"]}["study"] is True
    expected = json.loads((bundle / "examples/expected.json").read_text())
    shown = alone(bundle, "predict.py", *(str(bundle / "examples" / e["file"]) for e in expected))
    assert shown.returncode == 0, shown.stderr
    for line, example in zip(shown.stdout.splitlines(), expected, strict=True):
        assert f": {example['answer']}, " in line and line.endswith(f"asked: {example['members_asked']}")


def test_examples_have_an_image_for_every_number_of_members_asked(bundle):
    assert {e["members_asked"] for e in json.loads((bundle / "examples/expected.json").read_text())} == {1, 2}
    asked = np.ones(100, dtype=np.int32)
    asked[41] = 3
    assert 41 in examples_of(asked) and len(examples_of(asked)) == 16
    assert examples_of(np.ones(3, dtype=np.int32)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "examples/03.png"])
def test_a_changed_byte_is_found_and_nothing_is_run(own_bundle, name):
    content = bytearray((own_bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_bundle / name).write_bytes(content)
    (only,) = verify(own_bundle)
    assert only.ok is False and only.text == f"{name} was altered"
    done = alone(own_bundle, "verify.py")
    assert done.returncode == 4 and f"{name} was altered" in done.stdout


def test_a_missing_file_is_named(own_bundle):
    (own_bundle / "predict.py").unlink()
    assert verify(own_bundle)[0].text == "predict.py is missing"


def test_what_is_promised_is_held_against_what_is_measured(world, own_bundle):
    """Another threshold is another bundle: its answers, its accuracy and its costs are not those that were said."""
    manifest = read_manifest(own_bundle)
    manifest["measured"]["test"] |= {"low": 0.98, "high": 0.99, "accuracy": 0.985}
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    answers = study_answers(own_bundle).copy()
    answers["class"][:2] = (answers["class"][:2] + 1) % 10
    images = study_images(world, own_bundle)
    checks = states(verify(own_bundle, Images(images.labels, images.images, answers), budget_ms=1e-6))
    assert checks == {"files": True, "examples": True, "accuracy": False, "study": False, "asked again": None,
                      "latency": False}


def test_a_manifest_of_a_newer_version_or_none_is_said(own_bundle, tmp_path):
    (own_bundle / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(BundleError, match="has format 2, and this verifier reads up to 1"):
        verify(own_bundle)
    with pytest.raises(BundleError, match="is not a bundle"):
        verify(tmp_path)
    (own_bundle / "manifest.json").write_text("[]")
    with pytest.raises(BundleError, match="not a readable manifest"):
        verify(own_bundle)
    (own_bundle / "manifest.json").write_text('{"format": 1, "files": {}}')
    with pytest.raises(BundleError, match="no whole manifest: it lacks name, label, members, input"):
        verify(own_bundle)


@pytest.mark.parametrize("part", ["latency.hardware.cpu", "measured.test.low", "input.resize"])
def test_a_manifest_that_lost_a_promise_is_said(own_bundle, part):
    manifest = read_manifest(own_bundle)
    *outer, last = part.split(".")
    place = manifest
    for name in outer:
        place = place[name]
    del place[last]
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=f"no whole manifest: it lacks {part}"):
        verify(own_bundle)


def test_a_manifest_that_lists_what_is_outside_of_the_bundle_is_not_followed(own_bundle, tmp_path):
    (tmp_path / "secret.txt").write_text("")
    manifest = read_manifest(own_bundle)
    manifest["files"]["../secret.txt"] = {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    (only,) = verify(own_bundle)
    assert only.ok is False and only.text == "../secret.txt is outside of the bundle"


def test_answers_that_are_no_numbers_differ_and_are_json(bundle):
    class Broken:
        def run(self, outputs, inputs):
            count = len(inputs["images"])
            return [np.full((count, 10), np.nan, np.float32), np.ones(count, np.int32)]

    check = examples_check(bundle, read_manifest(bundle), Broken())
    found = json.loads(as_json(bundle, [check]), parse_constant=pytest.fail)
    assert check.ok is False and found["ok"] is False
    assert found["checks"][0]["values"]["largest_difference"] is None


def test_weights_beyond_float16_are_refused_before_they_answer_nonsense(tmp_path):
    small = exported_members.digits(tmp_path / "store", ["wrn-10-1"])
    record = members.read_record(small.store, small.ids[0])
    weights = safetensors.torch.load(members.read_file(small.store, record, "weights.safetensors"))
    weights["classifier.weight"] *= 1e6
    files = members.write_files(small.store, record.id, {"weights.safetensors": safetensors.torch.save(weights)})
    members.write_record(small.store, replace(record, files=record.files | files))
    with pytest.raises(InputError, match=r"NaN probabilities for 30 of the 30 images of val. Export it without --half"):
        small.export(small.candidate("c1", "single", [0]), tmp_path / "bundle", half=True)
    assert not (tmp_path / "bundle").exists()


def test_what_was_trained_in_bfloat16_is_held_against_what_was_found_at_export(world, own_bundle):
    """The study's answers are then of other numbers than the bundle's, and it says so."""
    manifest, images = read_manifest(own_bundle), study_images(world, own_bundle)
    manifest["study_agreement"] |= {"exact": False, "same_class": 0.9983, "why": "predictions in bfloat16"}
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    answers = study_answers(own_bundle).copy()
    answers["class"][:2] = (answers["class"][:2] + 1) % 10
    [study] = [c for c in verify(own_bundle, Images(images.labels, images.images, answers)) if c.name == "study"]
    assert study.ok and study.text.endswith("at export 99.83%, as predictions in bfloat16")
    answers["class"][:4] = (answers["class"][:4] + 1) % 10
    [study] = [c for c in verify(own_bundle, Images(images.labels, images.images, answers)) if c.name == "study"]
    assert study.ok is False, "4 of 1,197 are more than one in a thousand beyond"


def test_a_runtime_that_is_not_installed_is_named(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BundleError, match="needs openvino: pip install openvino"):
        verify(bundle, runtime="openvino")


def test_another_processor_and_a_budget_are_said(own_bundle):
    manifest = read_manifest(own_bundle)
    manifest["latency"]["hardware"]["cpu"] = "Abacus"
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    latency = verify(own_bundle, budget_ms=10_000)[-1]
    assert latency.ok is True and latency.values["same_hardware"] is False
    assert "ms in onnxruntime on another processor (Abacus)" in latency.text
    assert latency.text.endswith("; budget 10000 ms for 9 of 10 images")


def test_half_says_what_it_costs(world, tmp_path):
    half = read_manifest(world.export(world.candidate("c2", "uniform", [0, 1]), tmp_path / "half", half=True))
    assert half["weights"] == "float16"
    assert not half["study_agreement"]["exact"] and half["study_agreement"]["largest_difference"] > 0
    assert (tmp_path / "half/model.onnx").stat().st_size < 0.6 * 4 * sum(m["params"] for m in half["members"])


def test_a_program_that_is_no_part_of_the_bundle_is_not_loaded(bundle, tmp_path):
    """Nobody hashed it, and loading it may run what is in it."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "model.pt2").write_bytes(b"no zip")
    assert all(check.ok is not False for check in verify(copy))
    manifest = json.loads((copy / "manifest.json").read_text())
    for name in ("model.pt2", "../model.onnx", "labels.txt"):
        (copy / "manifest.json").write_text(json.dumps(manifest | {"model": name}))
        with pytest.raises(BundleError, match=r"lists no model among its files: model\.onnx or model\.pt2"):
            verify(copy)


def test_a_bundle_that_was_altered_is_not_registered(own_bundle):
    (own_bundle / "labels.txt").write_text("other\n")
    with pytest.raises(InputError, match=r"is not what was exported and measured: labels\.txt was altered\."):
        register(str(own_bundle), "mlflow")


def test_members_by_name_get_a_temperature_of_their_own(world):
    chosen = of_members(world.store, world.data, [world.ids[0], "wrn-10-2"], "arithmetic", world.origin.cache)
    assert chosen.members == (world.ids[0], world.ids[2]) and chosen.combination.combine == "arithmetic"
    assert chosen.combination.temperatures[0] != 1


def test_a_candidate_becomes_stages_and_its_promise_goes_with_it(world):
    cascade = chosen_of(world.cascade([0, 2]))
    assert cascade.combination == Combination((1, 1), "geometric", (1.2, 1.0), "margin", (0.5,))
    assert cascade.promise == {"loss": 0.01, "confidence": 0.95, "text": "loses at most 1 point"}
    never = world.candidate("c2", "cascade", [0, 2], temperatures=(1.0, 1.0), confidence="entropy", thresholds=(None,))
    assert chosen_of(never).combination.thresholds == (math.inf,)
    assert chosen_of(world.candidate("c3", "uniform", [0, 1])).combination.stages == (2,)


def test_members_without_weights_are_refused_before_anything_is_written(tmp_path):
    small = exported_members.digits(tmp_path / "store", ["wrn-10-1", "wrn-10-1"])
    record = members.read_record(small.store, small.ids[0])
    del record.files["weights.safetensors"]
    members.write_record(small.store, record)
    small.store.delete(keys.member_file(small.ids[1], "weights.safetensors"))
    with pytest.raises(InputError) as refused:
        small.export(small.candidate("c1", "uniform", [0, 1]), tmp_path / "bundle")
    assert f"{small.ids[0]} is predictions alone" in str(refused.value)
    assert f"{small.ids[1]} has lost its weights" in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def test_other_folders_are_left_alone_and_bundles_replaced(world, bundle, own_bundle, tmp_path):
    (own_bundle / "left-over.txt").write_text("from a bundle before")
    world.export(world.cascade([0, 2]), own_bundle)
    assert not (own_bundle / "left-over.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is no bundle"):
        world.export(world.cascade([0, 2]), tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")] == []


def test_a_store_gets_the_bundle_and_what_triton_reads(world, bundle, torch_bundle, tmp_path):
    store = FolderStore(tmp_path / "other")
    manifest = read_manifest(bundle)
    place = put(store, bundle, manifest).removeprefix(f"{store.uri}/")
    assert place == "studies/small/0123456789/bundles/c1"
    stored = {key.removeprefix(f"{place}/") for key in store.list(place)}
    assert stored == {*manifest["files"], "manifest.json", "triton/small-c1/config.pbtxt",
                      "triton/small-c1/1/model.onnx"}
    assert fetch(store, place, tmp_path / "copy") == manifest
    assert all(check.ok is not False for check in verify(tmp_path / "copy"))
    of_torch = put(store, torch_bundle, read_manifest(torch_bundle)).removeprefix(f"{store.uri}/")
    assert of_torch == f"{place}-torch" and not list(store.list(f"{of_torch}/triton"))
    with pytest.raises(InputError, match="there is no bundle at"):
        fetch(store, "studies/small/nowhere", tmp_path / "nowhere")


def test_a_batch_of_one_is_answered_as_in_a_large_one(world, bundle):
    session, images = open_session(bundle / "model.onnx"), world.data.images("test")[:20]
    together, asked = run(session, images)
    alone = [run(session, images[i:i + 1]) for i in range(20)]
    np.testing.assert_allclose(together, np.concatenate([p for p, _ in alone]), atol=1e-6)
    np.testing.assert_array_equal(asked, np.concatenate([a for _, a in alone]))
