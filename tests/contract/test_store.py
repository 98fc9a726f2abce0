"""What both stores promise, tried on a real folder and on a real MinIO server."""

import hashlib
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_place import Place
from store_process import LONG, SHORT

from consort.errors import Busy, MissingKey
from consort.store import Store

HOSTILE_KEYS = ["", "/etc/passwd", "..", "../x", "a/../b", "a/./b", ".", "a//b", "a\\b", "a\x00b", "a\nb", "a/.tmp-b"]


class TestStore:
    def test_what_is_written_is_read(self, store: Store) -> None:
        store.write("members/a/member.json", b'{"seed": 1}')
        assert store.read("members/a/member.json") == b'{"seed": 1}'
        assert store.exists("members/a/member.json")

    @pytest.mark.parametrize("data", [b"", "Ünïcödé \u2713 \U0001f3bb".encode(), bytes(range(256)) * 3])
    def test_any_bytes(self, store: Store, data: bytes) -> None:
        store.write("a/b", data)
        assert store.read("a/b") == data

    @pytest.mark.parametrize("key", ["mit Leerzeichen/und-ümlaut.json", "a+b/c&d=e", "100%/x", "q?y#z"])
    def test_key_with_unusual_characters(self, store: Store, key: str, tmp_path: Path) -> None:
        store.write(key, b"1")
        assert store.read(key) == b"1"
        assert list(store.list(key.split("/")[0])) == ([key] if "/" in key else [])
        assert store.get_file(key, tmp_path / "cache").read_bytes() == b"1"
        store.delete(key)
        assert not store.exists(key)

    def test_overwriting(self, store: Store) -> None:
        store.write("a", b"a long first version")
        store.write("a", b"short")
        assert store.read("a") == b"short"

    def test_a_second_opening_sees_the_same(self, place: Place, store: Store) -> None:
        store.write("a/b", b"1")
        assert place.open().read("a/b") == b"1"
        assert list(place.open().list("a")) == ["a/b"]

    @pytest.mark.parametrize("key", ["absent", "a", "a/b/c", "a/b/c/d"])
    def test_missing_object(self, store: Store, key: str, tmp_path: Path) -> None:
        store.write("a/b", b"1")
        assert not store.exists(key)
        with pytest.raises(MissingKey, match=f"has no object {key}"):
            store.read(key)
        with pytest.raises(MissingKey, match=f"has no object {key}"):
            store.get_file(key, tmp_path / "cache")

    def test_nothing_was_ever_written(self, store: Store, tmp_path: Path) -> None:
        assert not store.exists("a")
        assert list(store.list("a")) == []
        store.delete("a")
        with pytest.raises(MissingKey, match="no object a"):
            store.read("a")
        with pytest.raises(MissingKey, match="no object a"):
            store.get_file("a", tmp_path / "cache")

    def test_list_is_sorted_and_nested(self, store: Store) -> None:
        keys = ["m/a/x.json", "m/a-b/x", "m/Z", "m/a/r/00000010/w", "m/a/r/00000009/w", "m/é", "n/other"]
        for key in keys:
            store.write(key, b"1")
        assert list(store.list("m")) == sorted(keys[:-1])
        assert list(store.list("m/")) == sorted(keys[:-1])
        assert list(store.list("m/a/r")) == ["m/a/r/00000009/w", "m/a/r/00000010/w"]

    def test_a_prefix_ends_at_a_folder(self, store: Store) -> None:
        store.write("members/ab/x", b"1")
        store.write("members/a.json", b"1")
        assert list(store.list("members/a")) == []
        assert list(store.list("members/a.json")) == []
        store.delete("members/a")
        assert list(store.list("members")) == ["members/a.json", "members/ab/x"]

    def test_list_of_more_than_a_page(self, store: Store) -> None:
        keys = [f"many/{i:04d}" for i in range(1100)]  # S3 lists and deletes up to 1,000 at a time
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: store.write(key, b""), keys))
        assert list(store.list("many")) == keys
        store.delete("many")
        assert list(store.list("many")) == []

    def test_delete_object_folder_and_absent(self, store: Store) -> None:
        for key in ("a/b", "a/c/d", "a/c/e", "f"):
            store.write(key, b"1")
        store.delete("a/b")
        store.delete("a/b")
        assert list(store.list("a")) == ["a/c/d", "a/c/e"]
        store.delete("a/c/")
        assert list(store.list("a")) == []
        assert not store.exists("a/c/d")
        store.delete("f/below-an-object")
        assert store.read("f") == b"1"

    def test_readers_see_whole_objects_only(self, place: Place, store: Store, tmp_path: Path) -> None:
        seen = set()
        with place.process("alternate", "a/b") as writer:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
            give_up_at = time.monotonic() + 2
            while time.monotonic() < give_up_at:
                seen.add(store.read("a/b"))
                seen.add(store.get_file("a/b", tmp_path / "cache").read_bytes())
                assert list(store.list("a")) == ["a/b"]
        assert writer.returncode == 0
        assert {len(data) for data in seen} == {len(SHORT), len(LONG)}
        assert seen == {SHORT, LONG}

    def test_large_file_is_streamed(self, store: Store, tmp_path: Path) -> None:
        source = tmp_path / "source"
        digest = hashlib.sha256()
        with open(source, "wb") as file:
            for _ in range(64):
                piece = os.urandom(1 << 20)
                digest.update(piece)
                file.write(piece)
        tracemalloc.start()
        store.put_file("data/large.npy", source)
        copy = store.get_file("data/large.npy", tmp_path / "cache")
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with open(copy, "rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
        assert copy.name == "large.npy"
        assert peak_bytes < 48 << 20

    def test_put_file_overwrites_and_leaves_the_source(self, store: Store, tmp_path: Path) -> None:
        source = tmp_path / "source"
        for data in (b"a long first version", b"", b"x" * (20 << 20)):
            source.write_bytes(data)
            store.put_file("a", source)
            assert store.read("a") == source.read_bytes() == data

    def test_put_file_without_a_source(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.put_file("a", tmp_path / "absent")
        assert not store.exists("a")

    def test_get_file_notices_that_the_object_was_overwritten(self, store: Store, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        for data in (b"first", b"again", b"third time, longer"):
            store.write("a/b.npy", data)
            assert store.get_file("a/b.npy", cache).read_bytes() == data
        store.delete("a/b.npy")
        with pytest.raises(MissingKey):
            store.get_file("a/b.npy", cache)

    def test_get_file_keeps_a_copy_that_is_in_use(self, store: Store, tmp_path: Path) -> None:
        store.write("a", b"first")
        with open(store.get_file("a", tmp_path / "cache"), "rb") as in_use:
            store.write("a", b"second")
            assert store.get_file("a", tmp_path / "cache").read_bytes() == b"second"
            assert in_use.read() == b"first"

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_hostile_keys_are_rejected(self, store: Store, key: str, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"1")
        calls = [lambda: store.read(key), lambda: store.write(key, b"1"), lambda: store.exists(key),
                 lambda: store.list(key), lambda: store.delete(key), lambda: store.put_file(key, source),
                 lambda: store.get_file(key, tmp_path / "cache"), lambda: store.lock(key).__enter__()]
        for call in calls:
            with pytest.raises(ValueError, match="a store key"):
                call()

    def test_an_object_has_no_closing_slash(self, store: Store) -> None:
        with pytest.raises(ValueError, match="a store key"):
            store.write("a/", b"1")


class TestLock:
    def test_excludes_another_process_both_ways(self, place: Place, store: Store) -> None:
        with place.process("hold", "locks/m") as other:
            assert other.stdout is not None and other.stdout.readline() == "ready\n"
            with pytest.raises(Busy, match="locks/m is held by"), store.lock("locks/m"):
                pass
            with store.lock("locks/another"):
                pass
        with store.lock("locks/m"), place.process("hold", "locks/m") as other:
            assert other.stdout is not None and other.stdout.readline() == "busy\n"

    def test_excludes_a_second_holder_in_this_process(self, place: Place, store: Store) -> None:
        with store.lock("locks/m"):
            with pytest.raises(Busy), place.open().lock("locks/m"):
                pass
            with pytest.raises(Busy), store.lock("locks/m"):
                pass
        with store.lock("locks/m"):
            pass

    def test_is_released_by_an_exception(self, store: Store) -> None:
        with pytest.raises(KeyError), store.lock("locks/m"):
            raise KeyError
        with store.lock("locks/m"):
            pass

    def test_of_a_killed_process_frees_itself(self, place: Place) -> None:
        store = place.open(lease_seconds=2)
        with place.process("hold", "locks/m", lease_seconds=2) as other:
            assert other.stdout is not None and other.stdout.readline() == "ready\n"
            with pytest.raises(Busy), store.lock("locks/m"):
                pass
            other.kill()
            other.wait()
            _lock_within(store, "locks/m", seconds=10)

    def test_lasts_longer_than_the_lease_while_the_holder_lives(self, place: Place) -> None:
        store = place.open(lease_seconds=4)  # a busy machine may keep the holder from renewing for a while
        with place.process("hold", "locks/m", lease_seconds=4) as other:
            assert other.stdout is not None and other.stdout.readline() == "ready\n"
            give_up_at = time.monotonic() + 10
            while time.monotonic() < give_up_at:
                with pytest.raises(Busy), store.lock("locks/m"):
                    pass
                time.sleep(0.1)
        _lock_within(store, "locks/m", seconds=10)


def _lock_within(store: Store, key: str, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            with store.lock(key):
                return
        except Busy:
            assert time.monotonic() < give_up_at, f"{key} is still held after {seconds} s"
            time.sleep(0.1)
