"""What goes wrong with the folder of a bundle is said as it is, and leaves nothing behind."""

import errno
import os
from pathlib import Path

import pytest

from consort.errors import InputError, StoreUnavailable
from consort.export.place import replaced


def test_a_folder_that_cannot_be_made_is_said_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, reason in ((tmp_path / ("a" * 300), "File name too long"), (tmp_path / "file/bundle", "File exists")):
        with pytest.raises(InputError, match=rf"{reason}\. Name another folder with --output"), replaced(folder):
            pass


def test_a_full_disk_is_no_wrong_folder(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"is full .*No space left"), replaced(tmp_path / "bundle") as made:
        (made / "part").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_meanwhile_is_not_the_folders_fault(tmp_path):
    lost = tmp_path / "photos/1.jpg"
    with pytest.raises(InputError, match=r"1\.jpg cannot be used: No such file.* It is no part of .*bundle") as said, \
            replaced(tmp_path / "bundle"):
        lost.read_bytes()
    assert "--output" not in str(said.value)


def test_what_is_written_ends_up_there(tmp_path):
    with replaced(tmp_path / "deep/bundle") as made:
        (made / "manifest.json").write_text("{}")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")] == [Path("deep/bundle/manifest.json")]
