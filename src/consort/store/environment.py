"""Which store and cache the environment names."""

import os
import tempfile
from pathlib import Path

from consort.store.access import S3Access
from consort.store.base import Store
from consort.store.files import expanded
from consort.store.open import open_store

DEFAULT_STORE = "consort-store"
"""Where neither an option nor the environment names one."""


def store_uri() -> str:
    """$CONSORT_STORE, else a folder where the process is."""
    return os.environ.get("CONSORT_STORE") or DEFAULT_STORE


def open_store_at(uri: str) -> Store:
    """The store at a URI, with the environment's credentials, certificates and proxies."""
    environment = os.environ
    return open_store(uri, S3Access(
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
        environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY"),
        environment.get("AWS_REGION"), environment))


def cache_folder() -> Path:
    """Where downloads and copies of a remote store's files are kept: $CONSORT_CACHE, or below ~/.cache; for a user
    without a home, as containers are often run, below the folder for temporary files."""
    if chosen := os.environ.get("CONSORT_CACHE"):
        return expanded(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "consort"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"consort-{os.getuid()}"
