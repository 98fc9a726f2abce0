"""From URIs, endpoints and credentials to stores; nothing here needs a server."""

from pathlib import Path

import pytest

from consort.errors import InputError
from consort.store import S3Access, open_store
from consort.store.folder import FolderStore
from consort.store.s3 import S3Store, parse_endpoint, parse_uri

ACCESS = S3Access("http://127.0.0.1:9", "the-access-key", "the-secret-key", "eu-west-1")


@pytest.mark.parametrize(("uri", "bucket", "prefix"), [
    ("s3://bucket", "bucket", ""),
    ("s3://bucket/", "bucket", ""),
    ("s3://bucket/a/b", "bucket", "a/b"),
    ("s3://my-bucket.example/a/b/", "my-bucket.example", "a/b"),
    ("s3://b1c/with space", "b1c", "with space"),
])
def test_uri_of_a_bucket(uri: str, bucket: str, prefix: str) -> None:
    assert parse_uri(uri) == (bucket, prefix)
    assert S3Store(uri, ACCESS).uri == uri.rstrip("/")


@pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://ab", "s3://Bucket/x", "s3://bu_cket", "s3://a..b/x", "s3://a.-b",
                                 "s3://-abc", "s3://abc-", "s3://user:word@host/x", f"s3://{'a' * 64}",
                                 "s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/a\\b"])
def test_uri_that_names_no_bucket(uri: str) -> None:
    with pytest.raises(InputError, match="store"):
        open_store(uri, ACCESS)


@pytest.mark.parametrize(("endpoint", "host", "secure"), [
    ("http://minio:9000", "minio:9000", False),
    ("http://minio:9000/", "minio:9000", False),
    ("https://s3.example.org", "s3.example.org", True),
    ("s3.example.org", "s3.example.org", True),
    ("minio:9000", "minio:9000", True),
    ("http://[::1]:9000", "[::1]:9000", False),
])
def test_endpoint(endpoint: str, host: str, secure: bool) -> None:
    assert parse_endpoint(endpoint) == (host, secure)
    S3Store("s3://bucket/x", S3Access(endpoint, "the-access-key", "the-secret-key"))


@pytest.mark.parametrize("endpoint", ["ftp://host", "http://", "http://host/path", "http://host?x=1", "http://host:port"])
def test_endpoint_that_is_no_server(endpoint: str) -> None:
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL_S3"):
        S3Store("s3://bucket/x", S3Access(endpoint, "the-access-key", "the-secret-key"))


def test_endpoint_with_credentials_is_refused_without_repeating_them() -> None:
    access = S3Access("http://name:password@minio:9000", "the-access-key", "the-secret-key")
    with pytest.raises(InputError, match="AWS_SECRET_ACCESS_KEY") as raised:
        S3Store("s3://bucket/x", access)
    assert "password" not in str(raised.value) + repr(access)


@pytest.mark.parametrize(("access", "names"), [
    (S3Access(None, "the-access-key", "the-secret-key"), ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
    (S3Access("http://minio:9000", None, "the-secret-key"), ["AWS_ACCESS_KEY_ID"]),
    (S3Access("http://minio:9000", "the-access-key", ""), ["AWS_SECRET_ACCESS_KEY"]),
    (S3Access("http://minio:9000"), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
    (None, ["AWS_ENDPOINT_URL_S3"]),
])
def test_what_is_missing_is_named(access: S3Access | None, names: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        open_store("s3://bucket/x", access)
    assert [name for name in names if name not in str(raised.value)] == []
    assert "the-secret-key" not in str(raised.value)
    assert "the-access-key" not in str(raised.value)


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in (f"{tmp_path}/store", f"file://{tmp_path}/store", "~/store"):
        store = open_store(uri)
        assert isinstance(store, FolderStore)
        assert store.uri == f"{tmp_path.resolve()}/store"


def test_unknown_scheme() -> None:
    with pytest.raises(InputError, match=r"s3://bucket/prefix, got 'gs://bucket'"):
        open_store("gs://bucket")


@pytest.mark.parametrize("uri", ["", "  ", "s3:/bucket/x", "s3:bucket", "S3://bucket", "gs://bucket", "https://host/x",
                                 "file:/x", "file://s3://x"])
def test_what_looks_like_an_address_is_no_folder(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="store"):
        open_store(uri)
    assert not list(tmp_path.iterdir())


def test_folders_of_odd_names_are_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("a:b", "./s3:", "10:30 run", "x/s3:/y"):
        assert isinstance(open_store(uri), FolderStore)
    assert isinstance(open_store(f"file://{tmp_path}/z"), FolderStore)


def test_a_home_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match="~nobody-of-this-name/x begins with ~"):
        open_store("~nobody-of-this-name/x")
