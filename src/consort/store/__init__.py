"""Where everything that is computed lives: a folder, or a bucket of MinIO (or what else speaks S3)."""

from consort.store.access import S3Access
from consort.store.base import Store
from consort.store.open import open_store

__all__ = ["S3Access", "Store", "open_store"]
