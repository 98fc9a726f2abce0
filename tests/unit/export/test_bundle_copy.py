"""Bundles that lie in a store: what is fetched stays inside the folder that it is fetched to."""

import json
from pathlib import Path

import pytest

from consort.errors import IntegrityError
from consort.export.bundle_copy import fetch
from consort.store.folder import FolderStore


@pytest.mark.parametrize(("manifest", "problem"), [
    ({"format": 1, "files": {"../stray.txt": {}}}, "lists ../stray.txt, which is outside of the bundle"),
    ({"format": 1, "files": {"/stray.txt": {}}}, "lists /stray.txt, which is outside of the bundle"),
    ({"format": 1}, "is not a bundle's manifest"),
    ([], "is not a bundle's manifest"),
    ("half a manif", "is not a bundle's manifest"),
])
def test_a_manifest_that_was_altered_is_refused_and_writes_nothing(tmp_path: Path, manifest: object,
                                                                   problem: str) -> None:
    store = FolderStore(tmp_path / "store")
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    store.write("bundles/c0/manifest.json", text.encode())
    store.write("bundles/stray.txt", b"not of the bundle")
    with pytest.raises(IntegrityError, match=problem):
        fetch(store, "bundles/c0", tmp_path / "there" / "copy")
    assert not (tmp_path / "there").exists()
