"""Image folders and zips prepared into a store."""

from pathlib import Path

from consort.data.prepare import prepare, prepare_test_set
from consort.data.prepared import Prepared
from consort.store import Store
from consort.study.data import Data


def prepared(store: Store, source: Path, progress=lambda done, total: None, **settings) -> Prepared:
    return prepare(store, Data(source=str(source), **settings), Path(), Path(store.uri) / "unused-cache", progress)


def further(store: Store, like: Prepared, source: Path, **settings) -> Prepared:
    return prepare_test_set(store, "shifted", str(source), like, Data(source="x", **settings), Path(), Path("/unused"))
