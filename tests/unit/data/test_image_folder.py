"""Which files of a folder or zip are images of which split and class, and what is said of the others."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from consort.data import file_tree
from consort.data.file_tree import LOOP
from consort.data.findings import HIDDEN, OTHER, TAKEN, lines
from consort.data.image_folder import ABOVE, Entry, ImageFolder
from consort.errors import InputError
from image_files import encoded, image_set, picture, write_folder, write_zip

both = pytest.mark.parametrize("write", [write_folder, lambda path, files: write_zip(path.with_suffix(".zip"), files)],
                               ids=["folder", "zip"])


def paths(entries: list[Entry]) -> list[str]:
    return [entry.path for entry in entries]


def moved(files: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    return {path.replace(old, new, 1) if path.startswith(old) else path: data for path, data in files.items()}


# Layout

@both
def test_a_folder_of_another_place_is_none_of_the_data(tmp_path, write):
    files = image_set(4, 2)
    beside = {f"{top}/{path}": data for path, data in files.items() for top in ("old", "raw/deep", ".cache")}
    folder = ImageFolder(write(tmp_path / "a", files | beside | {"old/test/cow/0.png": encoded(picture(1))}))
    assert sorted(paths(folder.train()) + paths(folder.test())) == sorted(files)
    assert folder.findings.notes == ["not looked at, beside test/, train/: old/, raw/."]


@both
def test_the_one_folder_around_may_be_left_out_but_not_be_guessed(tmp_path, write):
    files = {f"photos/{path}": data for path, data in image_set(4, 2).items()} | {"docs/read.txt": b""}
    folder = ImageFolder(write(tmp_path / "a", files))
    assert len(folder.train()) == 8 and folder.train()[0] == Entry("photos/train/cat/000.png", "cat")
    with pytest.raises(InputError, match=r"several folders with a train/ or test/ of their own: copy, photos\. Name"):
        ImageFolder(write(tmp_path / "b", files | {"copy/train/cat/0.png": b""})).train()


@both
@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_val_is_the_validation_set_beside_test_and_the_test_set_alone(tmp_path, write, name):
    files = image_set(4, 2)
    val = {f"{name}/cat/{i}.png": encoded(picture(900 + i)) for i in range(3)}
    folder = ImageFolder(write(tmp_path / "a", files | val))
    assert paths(folder.val()) == sorted(val) and len(folder.test()) == 4
    for alone in (moved(files, "test", name), moved(files, "test", name) | {"test/1.png": b"", "test/2.png": b""}):
        folder = ImageFolder(write(tmp_path / f"b{len(alone)}", alone))
        assert folder.val() == [] and len(folder.test()) == 4
        assert f"{name}/ is the test set, since there is no test/ with classes." in folder.findings.notes


@both
def test_names_of_splits_in_capitals_and_in_full(tmp_path, write):
    files = moved(moved(image_set(4, 2), "train", "Training"), "test", "TESTING")
    folder = ImageFolder(write(tmp_path / "a", files))
    assert sorted(paths(folder.train()) + paths(folder.test())) == sorted(files)
    with pytest.raises(InputError, match="several folders for the same images, Training and train"):
        ImageFolder(write(tmp_path / "b", files | image_set(4, 2))).train()


@both
def test_what_is_there_is_named_where_a_split_is_missing(tmp_path, write):
    folder = ImageFolder(write(tmp_path / "a", {"cat/0.png": b"", "dog/0.png": b""}))
    with pytest.raises(InputError, match=r"no images in train/<class>/; it has cat/, dog/\. Put the images in"):
        folder.train()


@both
def test_an_archive_inside_is_named_with_what_to_do(tmp_path, write):
    inner = write_zip(tmp_path / "inner.zip", image_set(4, 2)).read_bytes()
    alone = ImageFolder(write(tmp_path / "a", {"photos.zip": inner}))
    with pytest.raises(InputError, match=r"it has no folders\. Inside there is an archive, photos\.zip, which is not "
                                         r"looked into: unpack it, and name the folder with the images as the source"):
        alone.train()
    parts = ImageFolder(write(tmp_path / "b", {"all/test.tar.gz": b"", "all/train.zip": inner, "all/._train.zip": b""}))
    with pytest.raises(InputError, match=r"it has all/\. Inside there are archives, all/test\.tar\.gz, all/train\.zip, "
                                         "which are not looked into: unpack them"):
        parts.train()


# What is counted

@both
def test_every_file_is_counted_with_its_reason(tmp_path, write):
    files = image_set(4, 2) | {
        "train/cat/a.heic": b"", "train/cat/b.HEIC": b"", "train/cat/.hidden.png": b"", "train/cat/Thumbs.db": b"",
        "train/@eaDir/0.png/small.jpg": b"", "train/dog/note.txt": b"", "train/dog/deep/x.png": b"",
        "train/loose.png": b"", "train/dog/raw": b""}
    folder = ImageFolder(write(tmp_path / "a", files))
    folder.test()
    folder.refuse_empty()
    counts = folder.findings.counts
    assert counts["train"]["cat"] == {TAKEN: 4, ".heic": 2, HIDDEN: 2}
    assert counts["train"]["dog"] == {TAKEN: 5, OTHER: 1, "no ending": 1}
    assert counts["train"][""] == {ABOVE: 1, HIDDEN: 1}
    assert counts["test"] == {"cat": {TAKEN: 2}, "dog": {TAKEN: 2}}
    assert sum(n for split in counts.values() for label in split.values() for n in label.values()) == len(files)
    text = lines(folder.findings.to_dict())
    assert text[1 if text[0].startswith("test") else 0].startswith(
        "train/: 17 files found, 9 taken of 2 classes: cat 4, dog 5; not taken: ")
    assert "not taken, .heic: train/cat/a.heic, train/cat/b.HEIC" in text


@both
@pytest.mark.parametrize("ending", ["webp", "bmp", "gif", "tif", "TIFF", "jp2", "jfif", "pgm", "avif"])
def test_images_of_other_formats_are_taken(tmp_path, write, ending):
    files = image_set(2, 1) | {f"train/cow/{i}.{ending}": b"x" for i in range(3)}
    assert [e.label for e in ImageFolder(write(tmp_path / "a", files)).train()].count("cow") == 3


@both
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_of_which_nothing_can_be_read_is_named(tmp_path, write, split):
    files = image_set(2, 1, ("cat", "cow", "dog"))
    files = {path.replace(".png", ".heic") if path.startswith(f"{split}/cow") else path: data
             for path, data in files.items()}
    folder = ImageFolder(write(tmp_path / "a", files))
    count = 2 if split == "train" else 1
    with pytest.raises(InputError, match=rf"in {split}/ no image can be used \(cow: \.heic {count}\)"):
        folder.refuse_empty()


def test_a_folder_of_notes_or_of_nothing_is_no_class(tmp_path):
    folder = ImageFolder(write_folder(tmp_path, image_set(2, 1) | {"train/labels/a.xml": b""}))
    (tmp_path / "train/empty").mkdir()
    folder.refuse_empty()
    assert {e.label for e in folder.train()} == {"cat", "dog"}
    assert folder.findings.counts["train"]["empty"] == {}


# Links and special files

def test_links_into_a_folder_around_are_not_followed(tmp_path):
    write_folder(tmp_path / "data/photos", image_set(2, 1) | {"train/dog/deep/0.png": b""})
    loops = {"train/cat/up": "../..", "train/cat/self": ".", "train/cat/above": "../../..", "train/dog/deep/back": ".."}
    for name, target in loops.items():
        (tmp_path / "data/photos" / name).symlink_to(target)
    folder = ImageFolder(tmp_path / "data/photos")
    assert [e.label for e in folder.train()] == ["cat"] * 2 + ["dog"] * 3
    assert folder.findings.counts["train"]["cat"][LOOP] == 3
    assert folder.findings.counts["train"]["dog"][LOOP] == 1


def test_links_to_images_and_to_class_folders_are_followed(tmp_path):
    write_folder(tmp_path / "pool", {"0.png": encoded(picture(0)), "cats/1.png": encoded(picture(1))})
    write_folder(tmp_path / "a", image_set(2, 1))
    (tmp_path / "a/train/dog/linked.png").symlink_to(tmp_path / "pool/0.png")
    (tmp_path / "a/train/lion").symlink_to(tmp_path / "pool/cats", target_is_directory=True)
    folder = ImageFolder(tmp_path / "a")
    assert paths(folder.train())[-2:] == ["train/dog/linked.png", "train/lion/1.png"]
    assert folder.read("train/lion/1.png") == encoded(picture(1))


@pytest.mark.parametrize(("kind", "why"), [
    ("broken", "a link to /nonexistent/x.png, which does not exist"), ("circle", "symbolic links"),
    ("pipe", "a pipe or a device"), ("folder", "no file but a folder"), ("absent", "No such file"),
    ("large", "bytes; one image may have")])
def test_what_is_no_readable_file_has_a_reason(tmp_path, kind, why, monkeypatch):
    path = tmp_path / "train/cat/x.png"
    path.parent.mkdir(parents=True)
    if kind == "broken":
        path.symlink_to("/nonexistent/x.png")
    elif kind == "circle":
        path.symlink_to("x.png")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(bytes(11))
        monkeypatch.setattr(file_tree, "MOST_BYTES", 10)
    folder = ImageFolder(tmp_path)
    assert folder.stamp()
    with pytest.raises(ValueError, match=why):
        folder.read("train/cat/x.png")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such names")
def test_names_that_are_no_utf8(tmp_path):
    write_folder(tmp_path, image_set(2, 1))
    odd = tmp_path / os.fsdecode(b"train/cat/caf\xe9.png")
    odd.write_bytes(b"x")
    folder = ImageFolder(tmp_path)
    assert folder.read(paths(folder.train())[2]) == b"x"
    odd.rename(tmp_path / "train/cat/plain.png")
    (tmp_path / "train/dog").rename(tmp_path / os.fsdecode(b"train/h\xfcnd"))
    with pytest.raises(InputError, match=r"class folder train/h\\xfcnd .*Rename it"):
        ImageFolder(tmp_path).train()


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """For so long root is a user like others, for whom modes of files count."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(54321)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def why_refused(closed: str) -> str:
    """What is said of a folder of images in which the mode of one place is 0."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        with somebody_else():
            root = write_folder(Path(place) / "images", image_set(2, 1))
            (root / closed).chmod(0)
            try:
                folder = ImageFolder(root)
                for entry in [*folder.train(), *folder.test()]:
                    folder.read(entry.path)
            except (InputError, ValueError) as e:
                return str(e).replace(place, "")
            finally:
                (root / closed).chmod(0o700)
    return ""


@pytest.mark.parametrize(("closed", "said"), [
    ("", "/images cannot be read: Permission denied."), ("train", "the folder /images/train cannot be read: Perm"),
    ("test/dog", "the folder /images/test/dog cannot be read: Permission denied. Its images would be missing"),
    ("train/cat/000.png", "Permission denied")])
def test_what_may_not_be_read_is_named(closed, said):
    assert why_refused(closed).startswith(said)


@pytest.mark.parametrize(("name", "hint"), [("photos.tar.gz", "Unpack it"), ("photos.png", "neither a folder nor")])
def test_what_is_no_source_is_refused(tmp_path, name, hint):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=hint):
        ImageFolder(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    for path in ("pipe", "x" * 300, "nul\0byte", "absent"):
        with pytest.raises(InputError):
            ImageFolder(tmp_path / path)


@both
def test_a_folder_for_another_process_reads_the_same(tmp_path, write):
    folder = ImageFolder(write(tmp_path / "a", image_set(2, 1)))
    make, values = folder.__reduce__()
    copy = make(*values)
    assert copy.read("train/cat/000.png") == folder.read("train/cat/000.png")
