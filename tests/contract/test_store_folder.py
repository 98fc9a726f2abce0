"""What only a file system can do to its users: be the wrong place, be full."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from consort.errors import InputError, StoreUnavailable
from consort.store import open_store
from consort.store.folder import FolderStore


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True,
                             text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(InputError, match=f"the store {place} cannot be used .*Choose a folder"):
            FolderStore(place)


def test_writing_below_an_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a", b"1")
    with pytest.raises(InputError, match="cannot be used"):
        store.write("a/b", b"2")
    with pytest.raises(InputError, match="cannot be used"), store.lock("a/lock"):
        pass
    assert store.read("a") == b"1"


def test_full_disk_keeps_what_is_there(small_file_system: Path, tmp_path: Path) -> None:
    store = FolderStore(small_file_system)
    store.write("members/a/logits", b"1" * 1000)
    large = b"2" * (1 << 20)
    with pytest.raises(StoreUnavailable, match=r"is full .*run the same command again"):
        store.write("members/a/logits", large)
    (tmp_path / "large").write_bytes(large)
    with pytest.raises(StoreUnavailable, match="is full"):
        store.put_file("members/a/weights", tmp_path / "large")
    assert store.read("members/a/logits") == b"1" * 1000
    assert [path.name for path in small_file_system.rglob("*") if path.is_file()] == ["logits"]
    store.write("members/a/small", b"3")


def test_write_that_was_cut_off_is_no_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("a/b", b"1")
    (tmp_path / "a/.tmp-killed").write_bytes(b"half")
    assert list(store.list("a")) == ["a/b"]
    store.delete("a")
    assert not (tmp_path / "a").exists()


def test_objects_can_be_read_by_other_users(tmp_path: Path) -> None:
    FolderStore(tmp_path).write("a", b"1")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_relative_path_survives_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("store")
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    store.write("a", b"1")
    assert (tmp_path / "store/a").read_bytes() == b"1"
