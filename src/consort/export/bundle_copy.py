"""A bundle in a store: put there when it is exported, fetched by what serves it. No torch here."""

import json
from pathlib import Path
from typing import Any

from consort.errors import InputError, MissingKey
from consort.export import serve_files
from consort.export.place import MANIFEST, replaced
from consort.export.running import FORMAT
from consort.store import Store


def put(store: Store, folder: Path, manifest: dict[str, Any]) -> str:
    """Put a bundle into the run's folder of the store, the manifest last, and beside it what Triton reads; its URI."""
    place, name = serve_files.place_in_store(manifest), serve_files.service_name(manifest)
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
    manifest = _manifest(raw, f"{store.uri.rstrip('/')}/{place}/{MANIFEST}")
    with replaced(folder) as made:
        if manifest["format"] <= FORMAT:
            for name in manifest["files"]:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(store.read(f"{place}/{name}"))
        (made / MANIFEST).write_bytes(raw)
    return manifest


def _manifest(raw: bytes, where: str) -> dict[str, Any]:
    """InputError where it is none, or names files outside of the bundle's folder."""
    try:
        manifest = json.loads(raw)
        names = manifest["files"] if manifest["format"] <= FORMAT else []
    except (ValueError, KeyError, TypeError) as e:
        raise InputError(f"{where} is not a readable manifest ({type(e).__name__}: {e}). Export it again.") from e
    if outside := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise InputError(f"{where} names files outside of the bundle: {', '.join(outside[:3])}. Export it again.")
    return manifest
