"""The store in a bucket of MinIO, or of what else speaks S3 with conditional writes."""

import builtins
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from consort.errors import InputError, MissingKey
from consort.store.access import S3Access
from consort.store.base import check_key, check_prefix
from consort.store.files import explain, replacing
from consort.store.lease import Lease
from consort.store.network import connections
from consort.store.s3_errors import Result, retried
from minio import Minio

DEADLINE_SECONDS = 120.0
LEASE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
PART_BYTES = 8 << 20
PIECE_BYTES = 1 << 20


class S3Store:
    """Objects of the bucket, their keys below the prefix. Opening asks nothing of the network.

    The first write creates the bucket where there is none; reading from an absent bucket finds no object. The server
    must honour `If-None-Match: *` and `If-Match` on PUT (MinIO and Amazon S3 do), which is what locks are made of.

    deadline_seconds: for how long an unreachable or busy server is asked again before StoreUnavailable.
    lease_seconds: after which the lock of a process that died frees itself.
    """

    def __init__(self, uri: str, access: S3Access, deadline_seconds: float = DEADLINE_SECONDS,
                 lease_seconds: float = LEASE_SECONDS) -> None:
        self.bucket, self.prefix = parse_uri(uri)
        self.uri = "/".join(part for part in ("s3:/", self.bucket, self.prefix) if part)
        self.deadline_seconds = deadline_seconds
        self.lease_seconds = lease_seconds
        host, secure = parse_endpoint(access.endpoint)
        # Attempts are repeated in one place (s3_errors.retried), not in the connection pool as well.
        self._http, way = connections(
            access.environment, host, secure, retries=False, maxsize=16,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS))
        self._place = f"the store {self.uri} at {'https' if secure else 'http'}://{host}{way and f' {way}'}"
        missing = [name for name, value in (("AWS_ACCESS_KEY_ID", access.access_key),
                                            ("AWS_SECRET_ACCESS_KEY", access.secret_key)) if not value]
        if missing:
            raise InputError(f"{self._place} needs credentials: set {' and '.join(missing)}.")
        try:
            self._client = Minio(host, access.access_key, access.secret_key, secure=secure, region=access.region,
                                 http_client=self._http)
        except ValueError as e:
            raise InputError(f"AWS_ENDPOINT_URL_S3 or AWS_REGION is wrong ({e}): the endpoint is the server's address, "
                             "such as http://minio:9000.") from e

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r})"

    def read(self, key: str) -> bytes:
        return self.read_with_headers(key, self.deadline_seconds)[0]

    def write(self, key: str, data: bytes) -> None:
        name = self._name(key)
        self._write(key, lambda: self._put(name, io.BytesIO(data), len(data)), self.deadline_seconds)

    def exists(self, key: str) -> bool:
        try:
            self._stat(key)
        except MissingKey:
            return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        below = self._name(check_prefix(prefix)) + "/"
        start = len(self._name("x")) - 1

        def names() -> builtins.list[str]:
            return [str(found.object_name) for found in self._client.list_objects(self.bucket, below, recursive=True)]

        try:
            found = self._ask(prefix, names)
        except MissingKey:  # no bucket yet
            found = []
        return iter(sorted(name[start:] for name in found))

    def delete(self, prefix: str) -> None:
        key = check_prefix(prefix)
        names = [self._name(name) for name in (key, *self.list(key))]

        def remove() -> None:
            # The client sends them in batches of 1,000; deleting an absent object is no error.
            for error in self._client.remove_objects(self.bucket, [DeleteObject(name) for name in names]):
                raise ServerError(f"{error.code} for {error.name}", 500)

        try:
            self._ask(prefix, remove)
        except MissingKey:
            pass

    def put_file(self, key: str, path: Path) -> None:
        name = self._name(key)
        with open(path, "rb") as file:
            size = path.stat().st_size

            def put() -> None:
                file.seek(0)
                self._put(name, file, size)

            self._write(key, put, self.deadline_seconds)

    def get_file(self, key: str, cache: Path) -> Path:
        """Copies lie at <cache>/<key>/<ETag>/<name>: an overwritten object has another ETag and so another path."""
        stat = self._stat(key)
        known = _cached(cache, key, str(stat.etag))
        try:
            if known.is_file() and known.stat().st_size == stat.size:
                return known
            return self._ask(key, lambda: self._download(key, cache))
        except OSError as e:
            raise explain(e, f"the cache {cache}", key, "Set CONSORT_CACHE to a folder that you may write to.") from e

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Held through a lease that a thread renews; a process that died loses it after lease_seconds."""
        check_key(key)
        return Lease(self, key, self.lease_seconds).held()

    def write_if(self, key: str, data: bytes, condition: Mapping[str, str], deadline_seconds: float) -> str | None:
        """Write if the condition (If-Match or If-None-Match) holds: the new ETag, or None where it does not hold."""
        name = self._name(key)

        def put() -> str | None:
            # The client's put_object takes no headers; a presigned URL is its public way to a request of our own.
            url = self._client.get_presigned_url("PUT", self.bucket, name, expires=timedelta(minutes=5))
            response = self._http.request("PUT", url, body=data, headers=dict(condition))
            if response.status == 200:
                return response.headers["ETag"].strip('"')
            error = _error_of(response)
            # 409: two conditional writes met; 404: what If-Match asks for is gone.
            if response.status in (409, 412) or (isinstance(error, S3Error) and error.code == "NoSuchKey"):
                return None
            raise error

        return self._write(key, put, deadline_seconds)

    def read_with_headers(self, key: str, deadline_seconds: float) -> tuple[bytes, Mapping[str, str]]:
        name = self._name(key)

        def get() -> tuple[bytes, Mapping[str, str]]:
            with self._client.get_object(self.bucket, name) as response:
                return response.read(), response.headers

        return self._ask(key, get, deadline_seconds)

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{check_key(key)}" if self.prefix else check_key(key)

    def _stat(self, key: str) -> Any:
        name = self._name(key)

        def stat() -> Any:
            try:
                return self._client.stat_object(self.bucket, name)
            except S3Error as e:
                if e.request_id:
                    raise
            # Perhaps not an S3 server's answer: one to HEAD has no text that tells, an error to GET has.
            self._client.get_object(self.bucket, name).close()
            return self._client.stat_object(self.bucket, name)

        return self._ask(key, stat)

    def _put(self, name: str, data: Any, size: int) -> None:
        result = self._client.put_object(self.bucket, name, data, size, part_size=PART_BYTES, num_parallel_uploads=1)
        # The server may find out that it cannot complete an upload after it has begun a good answer.
        if not result.etag:
            raise ServerError("the upload was not completed", 500)

    def _download(self, key: str, cache: Path) -> Path:
        """Under the ETag of this very answer, as the object may be another one than a moment ago."""
        with self._client.get_object(self.bucket, self._name(key)) as response:
            target = _cached(cache, key, response.headers["ETag"].strip('"'))
            with replacing(target) as temporary, open(temporary, "wb") as file:
                for piece in response.stream(PIECE_BYTES):
                    file.write(piece)
        return target

    def _write(self, key: str, action: Callable[[], Result], deadline_seconds: float) -> Result:
        """Do it; where the bucket is absent, create it and do it again."""
        try:
            return self._retried(action, key, deadline_seconds)
        except S3Error:
            self._retried(self._make_bucket, f"creating bucket {self.bucket}", deadline_seconds)
            return self._retried(action, key, deadline_seconds)

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self.bucket)
        except S3Error as e:
            if e.code != "BucketAlreadyOwnedByYou":  # another process was faster
                raise

    def _ask(self, key: str, action: Callable[[], Result], deadline_seconds: float | None = None) -> Result:
        try:
            return self._retried(action, key, self.deadline_seconds if deadline_seconds is None else deadline_seconds)
        except S3Error as e:
            what = f"object {key}" if e.code == "NoSuchKey" else f"bucket {self.bucket}, so no object {key}"
            raise MissingKey(f"{self._place} has no {what}.") from e

    def _retried(self, action: Callable[[], Result], what: str, deadline_seconds: float) -> Result:
        return retried(action, self._place, what, deadline_seconds, self._http.clear)


def parse_uri(uri: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends, perhaps empty) of s3://bucket/prefix."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    well_named = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) and not re.search(r"\.\.|\.-|-\.", bucket)
    if not uri.startswith("s3://") or not well_named:
        raise InputError(f"a store in a bucket is s3://bucket/prefix, the bucket's name 3 to 63 lower-case letters, "
                         f"digits, dots and hyphens, got {uri!r}.")
    try:
        return bucket, check_key(prefix) if prefix else ""
    except ValueError as e:
        raise InputError(f"the prefix of the store {uri!r} cannot be used: {e}.") from e


def parse_endpoint(endpoint: str | None) -> tuple[str, bool]:
    """Host (with port) and whether TLS is spoken; https where the endpoint does not say."""
    if not endpoint:
        raise InputError("a store in a bucket needs the server's address: set AWS_ENDPOINT_URL_S3 (or "
                         "AWS_ENDPOINT_URL), for example to http://minio:9000.")
    url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    # Not shown in full: people write credentials into addresses.
    if "@" in url.netloc:
        raise InputError("AWS_ENDPOINT_URL_S3 must not contain credentials: set AWS_ACCESS_KEY_ID and "
                         "AWS_SECRET_ACCESS_KEY instead.")
    if url.scheme not in ("http", "https") or not url.netloc or url.path.strip("/") or url.query:
        raise InputError(f"AWS_ENDPOINT_URL_S3 is the server's address, such as http://minio:9000, got {endpoint!r}.")
    return url.netloc, url.scheme == "https"


def _cached(cache: Path, key: str, etag: str) -> Path:
    return cache / key / etag / key.rsplit("/", 1)[-1]


def _error_of(response: urllib3.BaseHTTPResponse) -> Exception:
    """The same error that the client would raise for this answer."""
    if "xml" in response.headers.get("Content-Type", "") and response.data:
        return S3Error.fromxml(response)
    return InvalidResponseError(response.status, response.headers.get("Content-Type"), None)
