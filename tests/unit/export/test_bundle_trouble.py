"""What is wrong with a bundle, or with what it is given, is a line that says so and never a traceback."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from bundle_checks import ALONE, alone
from consort.cli import bundle as command
from consort.export.labelled_images import labelled_images
from consort.export.running import PARTS, BundleError, read_manifest
from consort.export.serving import listening
from consort.export.verify import verify


def image_file(path: Path, mode: str, format: str, **how) -> Path:
    Image.new(mode, (9, 20)).save(path, format, **how)
    return path


@pytest.fixture
def readable(tmp_path) -> list[Path]:
    """Files of unusual kinds, which are shown all the same."""
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 90, 200)]
    return [image_file(tmp_path / "cmyk.jpg", "CMYK", "JPEG"), image_file(tmp_path / "16 bits.png", "I;16", "PNG"),
            image_file(tmp_path / "no ending", "RGBA", "WEBP"),
            image_file(tmp_path / "animated.gif", "L", "GIF", save_all=True, append_images=frames)]


@pytest.fixture
def unreadable(tmp_path) -> dict[Path, str]:
    """Files, and a part of what is said of each."""
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(whole, "PNG")
    contents = {"notes.txt": (b"no image", "not in a format that can be read"), "empty.jpg": (b"", "the file is empty"),
                "page.png": (b"<html><body>404", "web page"), "cut off.png": (whole.getvalue()[:-900], "")}
    found = {tmp_path / "missing.png": "No such file or directory", tmp_path: "Is a directory",
             image_file(tmp_path / "float.tif", "F", "TIFF"): "floating point"}
    for name, (content, said) in contents.items():
        (tmp_path / name).write_bytes(content)
        found[tmp_path / name] = said
    return found


def test_what_is_no_image_is_a_line_each_and_the_others_are_answered(bundle, readable, unreadable):
    done = alone(bundle, "predict.py", *map(str, [*unreadable, *readable]))
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [str(path) for path in readable]
    said = done.stderr.splitlines()
    assert len(said) == len(unreadable)
    for line, (path, reason) in zip(said, unreadable.items(), strict=True):
        assert line.startswith(f"error: {path} cannot be read as an image: ") and reason in line
        assert line.endswith("Name files that each hold a whole image, such as JPEG or PNG.")


def test_images_that_cannot_be_read_end_a_verification_with_their_name(bundle, unreadable, tmp_path):
    (tmp_path / "photos/3").mkdir(parents=True)
    (tmp_path / "photos/3/cut off.png").write_bytes((tmp_path / "cut off.png").read_bytes())
    done = alone(bundle, "verify.py", "--data", str(tmp_path / "photos"))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "photos/3/cut off.png cannot be read as an image: " in done.stderr


def test_no_images_a_missing_package_and_a_missing_part_are_said(bundle, own_bundle):
    assert "python predict.py IMAGE..." in alone(bundle, "predict.py").stderr
    (own_bundle / "pixels.py").unlink()
    for program, packages in (("predict.py", "onnxruntime numpy pillow"), ("verify.py", "numpy pillow"),
                              ("serving.py", "numpy pillow starlette uvicorn")):
        lost = alone(own_bundle, program, "x.png")
        assert (lost.returncode, lost.stderr) == (
            2, f"error: No module named 'pixels': pip install {packages}, and keep the bundle's files together.\n")
        without = alone(bundle, program, "x.png", with_out=ALONE.replace('modules["torch"]', 'modules["numpy"]'))
        assert (without.returncode, without.stderr.count("\n")) == (2, 1)
        assert f"pip install {packages}" in without.stderr


def test_a_program_that_consort_imports_does_not_end_it_where_a_package_is_missing():
    code = "import sys; sys.modules['uvicorn'] = None\ntry:\n    import consort.export.serving\n" \
           "except ModuleNotFoundError as e:\n    print(e.name)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=120) == "uvicorn\n"


@pytest.mark.parametrize("lost", ["manifest.json", "model.onnx"])
def test_predicting_without_a_part_is_a_line(own_bundle, lost):
    example = next((own_bundle / "examples").glob("*.png"))
    (own_bundle / lost).unlink()
    done = alone(own_bundle, "predict.py", str(example))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1) and lost in done.stderr


@pytest.mark.parametrize("name", ["examples/expected.json", "examples/study-answers.npy"])
def test_examples_that_the_manifest_does_not_list_are_not_run(own_bundle, name):
    manifest = read_manifest(own_bundle)
    del manifest["files"][name]
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    (only,) = verify(own_bundle)
    assert (only.ok, only.text) == (False, f"{name} is not in the manifest")


def test_lost_answers_of_the_study_are_found_where_the_store_has_its_images(world, own_bundle, capsys):
    (own_bundle / "examples/study-answers.npy").unlink()
    with pytest.raises(typer.Exit) as ended:
        command.verify(own_bundle, store=str(world.store.root))
    assert ended.value.exit_code == 4 and "examples/study-answers.npy is missing" in capsys.readouterr().out


def test_files_that_cannot_be_read_are_named(own_bundle):
    manifest = read_manifest(own_bundle)
    (own_bundle / "labels.txt").unlink()
    (own_bundle / "labels.txt").symlink_to("labels.txt")
    manifest["files"]["nul\0"] = {}
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    (only,) = verify(own_bundle)
    assert only.ok is False
    assert [text.partition(" (")[0] for text in only.text.split("; ")] == ["labels.txt cannot be read",
                                                                          "nul\0 cannot be read"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_manifest_that_is_of_another_kind_is_said(own_bundle, part):
    manifest = read_manifest(own_bundle)
    *outer, last = part.split(".")
    place = manifest
    for name in outer:
        place = place[name]
    place[last] = {"of": "another kind"} if PARTS[part] is not dict else 7
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=f"no whole manifest: it lacks {part}, or has something else there"):
        read_manifest(own_bundle)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1e999}', '{"format": null}', "\ud800"])
def test_a_manifest_that_no_export_writes_is_said(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(BundleError, match="not a readable manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(("images", "labels", "said"), [
    (np.zeros((2, 8, 8, 3), np.float32), np.zeros(2, np.int64), "float32, and the bundle takes 8 x 8 pixels of uint8"),
    (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3, np.int64), r"labels \[3\] of int64 for 2 images"),
    (np.zeros((2, 8, 8, 3), np.uint8), np.array(["a", "b"]), "labels .* for 2 images"),
    (np.zeros((2, 8, 8, 3), np.uint8), np.int64(1), r"labels \[\] of int64"),
    (np.zeros((2, 8, 8, 3), np.uint8), None, "cannot be read: No data left in file. Prepare them again"),
])
def test_prepared_images_of_another_kind_are_refused(bundle, tmp_path, images, labels, said):
    np.save(tmp_path / "test-images.npy", images)
    (tmp_path / "test-labels.npy").touch()
    if labels is not None:
        np.save(tmp_path / "test-labels.npy", labels)
    with pytest.raises(BundleError, match=said):
        labelled_images(tmp_path, bundle, read_manifest(bundle))


def test_a_port_that_cannot_be_is_said():
    with pytest.raises(BundleError, match=r"cannot listen at 127\.0\.0\.1, port 99999: .*choose another with --port"):
        listening("127.0.0.1", 99999)
