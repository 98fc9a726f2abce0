"""Which images a bundle reads and is measured on, and which it refuses."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import exported_members
from bundle_checks import states
from consort.export.labelled_images import labelled_images
from consort.export.running import BundleError, read_image, read_manifest
from consort.export.verify import verify
from consort.store.folder import FolderStore
from exported_members import ExportedMembers
from image_files import image_set, write_folder
from prepared_images import prepared


def test_images_in_folders_of_classes_are_measured_too(bundle, tmp_path):
    expected = json.loads((bundle / "examples/expected.json").read_text())
    for example in expected:  # labelled as the bundle answers: it is right about all of them
        target = tmp_path / "photos" / example["answer"] / example["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((bundle / "examples" / example["file"]).read_bytes())
    checks = {c.name: c for c in verify(bundle, tmp_path / "photos")}
    shown = len({example["answer"] for example in expected})
    assert checks["accuracy"].values["accuracy"] == 1.0 and shown < 10
    assert f"1.0000 on 16 images of {shown} of the 10 classes; promised" in checks["accuracy"].text
    assert checks["study"].ok is None and "not checked" in checks["study"].text
    (tmp_path / "photos/zebra").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos/zebra/a.png")
    with pytest.raises(BundleError, match=r"does not know: zebra\. It knows 0, 1, 2, 3, 4, \.\.\. \(labels"):
        verify(bundle, tmp_path / "photos")
    with pytest.raises(BundleError, match="has no images"):
        verify(bundle, tmp_path / "empty")


def test_a_bundle_of_few_classes_names_them_all(bundle, tmp_path):
    (tmp_path / "zebra").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "zebra/a.png")
    few = read_manifest(bundle) | {"labels": ["cat", "dog"]}
    with pytest.raises(BundleError, match=r"It knows cat, dog \(labels\.txt\)"):
        labelled_images(tmp_path, bundle, few)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 90), (300, 5)])
@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "png"), ("L", "jpeg"), ("RGBA", "png"), ("P", "gif"),
                                              ("I;16", "tiff"), ("CMYK", "jpeg")])
def test_images_of_other_sizes_and_formats_are_brought_to_the_bundles(bundle, size, mode, suffix):
    written = io.BytesIO()
    Image.new(mode, size).save(written, suffix)
    image = read_image(written.getvalue(), read_manifest(bundle)["input"])
    assert image.shape == (8, 8, 3) and image.dtype == np.uint8


@pytest.mark.parametrize("content", [b"", b"no image", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_said(bundle, content):
    with pytest.raises(ValueError, match=r"\w"):
        read_image(content, read_manifest(bundle)["input"])


def test_prepared_images_of_another_size_are_refused(bundle, tmp_path):
    np.save(tmp_path / "test-images.npy", np.zeros((3, 9, 9, 3), dtype=np.uint8))
    np.save(tmp_path / "test-labels.npy", np.zeros(3, dtype=np.int64))
    with pytest.raises(BundleError, match="the bundle takes 8 x 8 pixels"):
        verify(bundle, tmp_path)


def test_prepared_images_of_other_classes_are_refused(world, bundle, tmp_path):
    """Their labels are numbers too, and would be taken for the bundle's."""
    np.save(tmp_path / "test-images.npy", np.zeros((3, 8, 8, 3), dtype=np.uint8))
    for labels in ([0, 1, 10], [0, -1, 1], []):
        np.save(tmp_path / "test-images.npy", np.zeros((len(labels), 8, 8, 3), dtype=np.uint8))
        np.save(tmp_path / "test-labels.npy", np.array(labels, dtype=np.int64))
        with pytest.raises(BundleError, match="no images of the bundle's 10 classes"):
            verify(bundle, tmp_path)
    np.save(tmp_path / "test-images.npy", np.zeros((2, 8, 8, 3), dtype=np.uint8))
    np.save(tmp_path / "test-labels.npy", np.array([0, 1]))
    assert states(verify(bundle, tmp_path))["study"] is None, "other images, of which nothing more is said"
    (tmp_path / "manifest.json").write_text(json.dumps({"classes": ["cat", "dog"]}))
    with pytest.raises(BundleError, match=r"has the classes cat, dog, and the bundle 0, 1, 2, 3, 4, \.\.\."):
        verify(bundle, tmp_path)


@pytest.mark.parametrize("sizes", [[96, 96], [96, 64]])
def test_large_images_are_cut_as_they_were_for_the_study(tmp_path, sizes):
    """Streamed images: decoded, resized and cut by the bundle, the same pixels as the study's predictions saw."""
    source = write_folder(tmp_path / "photos", image_set(train=6, test=5, height=240, width=301))
    store = FolderStore(tmp_path / "store")
    data = prepared(store, source, val_images=4)
    assert data.manifest.layout == "files"
    ids = [exported_members.of(store, data, ["wrn-10-1"], input_size=size).ids[0] for size in sizes]
    world = ExportedMembers(store, data, ids)
    bundle = world.export(world.candidate("c1", "uniform", [0, 1]), tmp_path / "bundle")
    manifest = read_manifest(bundle)
    assert (manifest["input"]["height"], manifest["input"]["resize"]) == (96, [110, 110])
    assert manifest["study_agreement"]["exact"] == (sizes == [96, 96])
    if sizes == [96, 96]:
        assert manifest["study_agreement"]["largest_difference"] < 1e-5
    assert all(c.ok is not False for c in verify(bundle, source / "test"))
