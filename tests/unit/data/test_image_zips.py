"""Zips of other people's machines: what is read of them, and what is said and left."""

import os
import stat
import zipfile

import pytest

from consort.data import file_tree
from consort.data.image_folder import ImageFolder
from image_files import encoded, image_set, picture, write_zip


def test_a_zip_of_windows_with_backslashes(tmp_path):
    files = image_set(2, 1)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photos\\train\\", b"")
        for path, data in files.items():
            archive.writestr("photos\\" + path.replace("/", "\\"), data)
    folder = ImageFolder(tmp_path / "a.zip")
    assert [e.label for e in folder.train()] == ["cat", "cat", "dog", "dog"]
    assert folder.read(folder.train()[0].path) == files["train/cat/000.png"]


def test_a_zip_of_macos_names_its_classes_as_the_folder_does(tmp_path):
    files = {path.replace("cat", "Kätzchen"): data for path, data in image_set(2, 1).items()}
    files |= {f"__MACOSX/{path.rsplit('/', 1)[0]}/._x.png": b"fork" for path in files}
    write_zip(tmp_path / "a.zip", files)
    raw = (tmp_path / "a.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:  # macOS does not set the flag that says UTF-8
        places = [i.header_offset + 6 for i in archive.infolist()]
    unmarked = bytearray(raw)
    start = -1
    while (start := raw.find(b"PK\x01\x02", start + 1)) >= 0:
        places.append(start + 8)
    for place in places:
        unmarked[place + 1] &= ~0x08
    (tmp_path / "b.zip").write_bytes(unmarked)
    for name in ("a.zip", "b.zip"):
        folder = ImageFolder(tmp_path / name)
        assert [e.label for e in folder.train()] == ["Kätzchen"] * 2 + ["dog"] * 2
        assert all(folder.read(e.path) == files[e.path] for e in folder.train())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_a_repeated_name_the_last_is_used_once(tmp_path):
    files = image_set(2, 1)
    write_zip(tmp_path / "a.zip", files)
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("train/cat/000.png", b"newer")
    folder = ImageFolder(tmp_path / "a.zip")
    assert len(folder.train()) == 4 and folder.read("train/cat/000.png") == b"newer"
    assert "1 name comes again in the archive; the last of them is used: train/cat/000.png." in folder.findings.notes


@pytest.mark.parametrize("name", ["../train/cat/evil.png", "train/cat/../../../evil.png", "/train/cat/evil.png",
                                  "C:/train/cat/evil.png", "train//evil.png", "..\\train\\cat\\evil.png"])
def test_names_that_lead_outside_are_said_and_not_read(tmp_path, name):
    folder = ImageFolder(write_zip(tmp_path / "a.zip", image_set(2, 1) | {name: encoded(picture(0))}))
    assert len(folder.train()) == 4
    assert any("outside of the archive" in note for note in folder.findings.notes)


def test_a_zip_bomb_and_a_link_in_a_zip_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tree, "BOMB_BYTES", 10_000)
    link = zipfile.ZipInfo("train/cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/cat/bomb.png", bytes(1_000_000))
        archive.writestr("train/cat/fine.png", os.urandom(20_000))
        archive.writestr(link, "/etc/passwd")
    folder = ImageFolder(tmp_path / "a.zip")
    for name, why in (("bomb", "zip bomb"), ("link", "a link"), ("absent", "no such file")):
        with pytest.raises(ValueError, match=why):
            folder.read(f"train/cat/{name}.png")
    assert len(folder.read("train/cat/fine.png")) == 20_000
