"""CIFAR archives: read, verified and downloaded, from archives made by hand and a server on this machine."""

import dataclasses
import hashlib
import io
import socket
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from consort.data import builtin
from consort.data.builtin import CIFAR, CifarArchive, cifar, fetch_cifar, read_cifar
from consort.errors import InputError, StoreUnavailable


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def write_archive(path: Path, archive: CifarArchive, images: np.ndarray, labels: np.ndarray, names: str) -> None:
    """An archive of the binary format: every file holds these images [N, 32, 32, 3] as planes, after their labels."""
    records = b"".join(bytes([19] * (archive.label_bytes - 1) + [label]) + image.transpose(2, 0, 1).tobytes()
                       for image, label in zip(images, labels, strict=True))
    files = {archive.names: names.encode()} | dict.fromkeys((*archive.train, *archive.test), records)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{archive.folder}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A CIFAR-10 archive of three images, which takes the real one's place."""
    random = np.random.default_rng(0)
    path = tmp_path / "tiny.tar.gz"
    write_archive(path, CIFAR["cifar10"], random.integers(0, 256, (3, 32, 32, 3), np.uint8), np.array([2, 0, 1]),
                  "cat\ndog\ncow\n\n")
    data = path.read_bytes()
    checked = dataclasses.replace(CIFAR["cifar10"], sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(CIFAR, "cifar10", checked)
    return data


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server in BASE_URL's place serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(builtin, "BASE_URL", f"http://127.0.0.1:{http.server_port}")
        yield folder
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("name", sorted(CIFAR))
def test_archive_is_read_into_images_and_fine_labels(tmp_path, name):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    write_archive(tmp_path / "a.tar.gz", CIFAR[name], images, np.array([2, 0, 1]), "cat\ndog\ncow\n")
    raw = read_cifar(tmp_path / "a.tar.gz", CIFAR[name])
    files = len(CIFAR[name].train)
    assert raw.classes == ["cat", "dog", "cow"]
    assert np.array_equal(raw.train_images, np.concatenate([images] * files))
    assert np.array_equal(raw.test_images, images)
    assert (raw.train_labels.tolist(), raw.test_labels.tolist()) == ([2, 0, 1] * files, [2, 0, 1])
    assert raw.test_labels.dtype == np.int64


def test_archive_without_one_of_its_files(tmp_path):
    archive = dataclasses.replace(CIFAR["cifar10"], train=("data_batch_9.bin",))
    write_archive(tmp_path / "a.tar.gz", CIFAR["cifar10"], np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, int), "cat")
    with pytest.raises(InputError, match=r"has no cifar-10-batches-bin/data_batch_9\.bin"):
        read_cifar(tmp_path / "a.tar.gz", archive)


def test_archive_that_is_there_is_not_downloaded(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(builtin, "BASE_URL", "http://127.0.0.1:1")
    (tmp_path / CIFAR["cifar10"].file).write_bytes(tiny)
    assert cifar("cifar10", tmp_path, ignore).test_labels.tolist() == [2, 0, 1]


def test_archive_with_another_hash_is_refused(tmp_path):
    path = tmp_path / CIFAR["cifar10"].file
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"is not the cifar10 archive.*Delete it"):
        fetch_cifar("cifar10", tmp_path, ignore)


def test_download_is_verified_and_reports_progress(tmp_path, tiny, server):
    (server / CIFAR["cifar10"].file).write_bytes(tiny)
    calls = []
    downloads = tmp_path / "cache" / "downloads"
    path = fetch_cifar("cifar10", downloads, lambda done, total: calls.append((done, total)))
    assert path.read_bytes() == tiny
    assert calls[-1] == (len(tiny), len(tiny))
    assert list(downloads.iterdir()) == [path]


def test_download_of_something_else_is_refused(tmp_path, tiny, server):
    (server / CIFAR["cifar10"].file).write_bytes(b"a page of a captive portal")
    with pytest.raises(InputError, match="is not the cifar10 archive"):
        fetch_cifar("cifar10", tmp_path / "downloads", ignore)


def test_missing_file_on_the_server_names_the_alternative(tmp_path, server):
    with pytest.raises(InputError, match=r"cannot be downloaded \(.*[Nn]ot [Ff]ound\).*image folder or zip"):
        fetch_cifar("cifar10", tmp_path / "downloads", ignore)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_without_a_network_the_alternative_is_named(tmp_path, monkeypatch, scheme):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        monkeypatch.setattr(builtin, "BASE_URL", f"{scheme}://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(InputError, match=r"cannot be downloaded.*image folder or zip of cifar100"):
            fetch_cifar("cifar100", tmp_path / "downloads", ignore)
    assert list((tmp_path / "downloads").iterdir()) == []


def test_connection_that_ends_early_leaves_nothing(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

        thread = Thread(target=answer)
        thread.start()
        monkeypatch.setattr(builtin, "BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(InputError, match="cannot be downloaded"):
            fetch_cifar("cifar10", tmp_path / "downloads", ignore)
        thread.join()
    assert list((tmp_path / "downloads").iterdir()) == []


def test_downloads_folder_that_cannot_be_written(tmp_path, server):
    (server / CIFAR["cifar10"].file).write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be used \(downloading cifar-10-binary.*CONSORT_CACHE"):
        fetch_cifar("cifar10", tmp_path / "file" / "downloads", ignore)


def test_full_disk_can_be_tried_again(tmp_path, tiny, server):
    (server / CIFAR["cifar10"].file).write_bytes(tiny)

    def no_room(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreUnavailable, match="is full"):
        fetch_cifar("cifar10", tmp_path / "downloads", no_room)
