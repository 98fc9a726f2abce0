"""A bundle in a store: put there when it is exported, fetched by what serves it. No torch here."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from consort.errors import InputError, IntegrityError, MissingKey
from consort.export import serve_files
from consort.export.place import MANIFEST, replaced
from consort.export.running import FORMAT
from consort.store import Store


def put(store: Store, folder: Path, manifest: dict[str, Any]) -> str:
    """Put a bundle into the run's folder of the store, the manifest last, and beside it ONNX as Triton reads it; its
    URI."""
    place, name = serve_files.place_in_store(manifest), serve_files.service_name(manifest)
    if "model.onnx" in manifest["files"]:
        store.put_file(f"{place}/triton/{name}/config.pbtxt", folder / "serve/config.pbtxt")
        store.put_file(f"{place}/triton/{name}/1/model.onnx", folder / "model.onnx")
    for file in [*manifest["files"], MANIFEST]:
        store.put_file(f"{place}/{file}", folder / file)
    return f"{store.uri.rstrip('/')}/{place}"


def fetch(store: Store, place: str, folder: Path) -> dict[str, Any]:
    """Copy the bundle that lies below `place` to a folder; its manifest. It is not checked against it here."""
    place = place.strip("/")
    try:
        raw = store.read(f"{place}/{MANIFEST}")
    except MissingKey as e:
        raise InputError(f"there is no bundle at {store.uri.rstrip('/')}/{place}: `consort export` puts one "
                         "there.") from e
    manifest, names = _listed(raw, f"{store.uri.rstrip('/')}/{place}/{MANIFEST}")
    with replaced(folder) as made:
        for name in names:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(store.read(f"{place}/{name}"))
        (made / MANIFEST).write_bytes(raw)
    return manifest


def _listed(raw: bytes, uri: str) -> tuple[dict[str, Any], list[str]]:
    """The manifest and the files that it lists, each inside the bundle's folder; of a newer format none."""
    try:
        manifest = json.loads(raw)
        names = list(manifest["files"]) if manifest.get("format", 0) <= FORMAT else []
        paths = [PurePosixPath(name) for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise IntegrityError(f"{uri} is not a bundle's manifest ({type(e).__name__}: {e}). Export it again.") from e
    if outside := [str(path) for path in paths if path.is_absolute() or ".." in path.parts]:
        raise IntegrityError(f"{uri} lists {outside[0]}, which is outside of the bundle: it was altered. Export it "
                             "again.")
    return manifest, names
