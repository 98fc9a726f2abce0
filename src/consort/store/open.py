"""From a URI to a store."""

import re

from consort.errors import InputError
from consort.store.access import S3Access
from consort.store.base import Store
from consort.store.files import expanded
from consort.store.folder import FolderStore


def open_store(uri: str, access: S3Access | None = None) -> Store:
    """Open the store at a folder's path or `s3://bucket/prefix`."""
    if uri.startswith("s3://"):
        from consort.store.s3 import S3Store  # minio is imported only where it is used

        return S3Store(uri, access or S3Access())
    if not uri.strip():
        raise InputError("the store is empty text, perhaps an unset variable: --store takes a folder or "
                         "s3://bucket/prefix.")
    if (re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/|s3:", uri, re.IGNORECASE) and not uri.startswith("file://")) or "://" in (
            uri.removeprefix("file://")):
        raise InputError(f"a store is a folder or s3://bucket/prefix, got {uri!r}. A folder of such a name is "
                         f"./{uri.partition(':')[0]}:...")
    return FolderStore(expanded(uri.removeprefix("file://")))
