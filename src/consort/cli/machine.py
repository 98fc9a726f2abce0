"""consort doctor: what is missing here, and what to do about it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, cache_folder, open_store_at
from consort.plurals import counted

MIN_FREE_GIB = 2.0


def doctor(store: StoreOption = DEFAULT_STORE,
           as_json: JsonOption = False) -> None:
    """Say what works here, what is missing, and what to do about it.

    Exits with 2 where a run would fail.
    """
    import json

    checks = [_python(), _torch(), _processor(), _memory(), _disk(store), _store(store), *_extras()]
    if as_json:
        print(json.dumps([{"check": name, "state": state, "finding": text} for name, state, text in checks]))
    else:
        for name, state, text in checks:
            print(f"{state:8} {name:10} {text}")
    if any(state == "MISSING" for _, state, _ in checks):
        raise typer.Exit(2)


Check = tuple[str, str, str]
"""Name, state (ok, note, MISSING), finding."""


def _python() -> Check:
    return "python", "ok", f"{sys.version.split()[0]} at {sys.executable}"


def _torch() -> Check:
    try:
        import torch
        import torchvision
    except ImportError as e:
        return "torch", "MISSING", f"{e}. Training needs it (pip install torch torchvision); evaluating does not."
    from consort.errors import ConsortError
    from consort.models import compute

    try:
        compute.check_gpu()
    except ConsortError as e:
        return "torch", "MISSING", str(e)
    gpus = torch.cuda.device_count()
    found = f"{gpus or 'no'} GPU{'s' if gpus > 1 else ''}"
    return "torch", "ok", f"{torch.__version__}, torchvision {torchvision.__version__}, {found}"


def _processor() -> Check:
    from consort import hardware

    described = hardware.describe()
    speed = ("bfloat16 in hardware: trained in bfloat16" if hardware.native_bfloat16()
             else "no bfloat16 in hardware: trained in float32, about half as fast")
    return "processor", "ok", f"{described['cpu']}, {counted(described['cores'], 'core')}, {speed}"


def _memory() -> Check:
    from consort import hardware

    gib, cores = hardware.describe()["memory_gib"], hardware.cores()
    if gib is not None and gib < cores:
        return "memory", "note", f"{gib} GiB for {counted(cores, 'core')}: if members are killed, use fewer --workers"
    return "memory", "ok", f"{gib} GiB"


def _disk(store: str) -> Check:
    place = cache_folder() if store.startswith("s3://") else store
    existing = Path(place).expanduser().absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 2**30
    state = "ok" if free >= MIN_FREE_GIB else "MISSING"
    advice = "" if state == "ok" else f"; members and data need {MIN_FREE_GIB:.0f} GiB or more: free some, or --store"
    return "disk", state, f"{free:.1f} GiB free at {place}{advice}"


def _store(uri: str) -> Check:
    from consort.errors import ConsortError

    probe = f"probe-{os.getpid()}"
    try:
        opened = open_store_at(uri)
        opened.write(probe, b"consort")
        opened.read(probe)
        opened.delete(probe)
    except ConsortError as e:
        return "store", "MISSING", str(e)
    return "store", "ok", f"{opened.uri} can be written"


EXTRAS = {
    "export": ("onnxscript", "consort export"),
    "serve": ("starlette", "consort serve"),
    "timm": ("timm", "networks named timm:<name>"),
    "cluster": ("kubernetes", "--target cluster, status, logs, cancel, gc"),
    "search": ("optuna", "the samplers tpe, nsga2 and gp of a search, and Katib's suggestion service"),
    "kfp": ("kfp", "consort submit, and compiling the pipelines"),
}
"""Extra of the package -> a module that it brings, and what it is for."""


def _extras() -> list[Check]:
    """What the optional parts are for, and which are here."""
    return [(extra, "ok", f"installed: {purpose}") if importlib.util.find_spec(module)
            else (extra, "note", f"not installed; for {purpose} (pip install 'consort[{extra}]')")
            for extra, (module, purpose) in EXTRAS.items()]
