"""Another process that uses a store: `store_process.py hold|alternate URI KEY LEASE_SECONDS`; it says when it is ready.

hold keeps the lock until its standard input ends. alternate overwrites the object until then, with payloads of one
byte value each and of very different lengths.
"""

import os
import select
import sys
from pathlib import Path

from consort.errors import Busy
from consort.store import S3Access, Store
from consort.store.folder import FolderStore
from consort.store.s3 import S3Store

SHORT = b"s" * 1000
LONG = b"l" * 5_000_000


def open_store(uri: str, lease_seconds: float) -> Store:
    if not uri.startswith("s3://"):
        return FolderStore(Path(uri))
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return S3Store(uri, S3Access(*(os.environ[name] for name in names)), 30, lease_seconds)


def main(task: str, uri: str, key: str, lease_seconds: float) -> None:
    store = open_store(uri, lease_seconds)
    if task == "alternate":
        store.write(key, SHORT)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            store.write(key, LONG)
            store.write(key, SHORT)
        return
    try:
        with store.lock(key):
            print("ready", flush=True)
            sys.stdin.read()
    except Busy:
        print("busy", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4], float(sys.argv[4]))
