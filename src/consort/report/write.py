"""Reads the summary and the choices of a run, writes the report's files beside them; and copies a finished report out
of the store."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import UndefinedError

from consort.answer import stored
from consort.answer.stored import CHOICES, EVIDENCE
from consort.errors import InputError, IntegrityError, MissingKey
from consort.report.page import page_html
from consort.report.plot import accuracy_macs_png, accuracy_ms_png
from consort.report.table import table_markdown
from consort.store import Store
from consort.store.keys import study_file

REPORT_FILES = ("report.html", "table.md", "accuracy-macs.png", "summary.json", "results.csv", "results.parquet",
                "study.toml")
FURTHER_FILES = ("accuracy-ms.png", CHOICES, EVIDENCE)
"""Which a run without latencies, or one that was evaluated before there were choices, lacks."""


def write_report(store: Store, study_name: str, run: str) -> list[str]:
    """Write report.html, table.md and accuracy-macs.png of a run that was evaluated, and accuracy-ms.png where there
    are latencies; returns their keys.

    The same summary and choices give the same bytes. Raises MissingKey where the run has no summary yet, IntegrityError
    where the summary or the choices cannot be read.
    """
    summary = _read_summary(store, study_file(study_name, run, "summary.json"))
    try:
        picture, against_ms = accuracy_macs_png(summary), accuracy_ms_png(summary)
        answered = stored.read(store, study_name, run)
        files = {"report.html": page_html(summary, picture, answered).encode(),
                 "table.md": table_markdown(summary, answered and answered[0]).encode(), "accuracy-macs.png": picture}
        if against_ms is not None:
            files["accuracy-ms.png"] = against_ms
    except (KeyError, UndefinedError) as e:
        raise IntegrityError(f"the summary of {study_name}/{run} was written by another version of Consort ({e}). "
                             "`consort evaluate` writes it anew.") from e
    return write_files(store, study_name, run, files)


def write_files(store: Store, study_name: str, run: str, files: Mapping[str, bytes]) -> list[str]:
    """Write these files of a run; returns their keys."""
    keys = {name: study_file(study_name, run, name) for name in files}
    for name, data in files.items():
        store.write(keys[name], data)
    return list(keys.values())


def copy_report(store: Store, study_name: str, run: str, folder: Path) -> Path:
    """Copy the files of a reported run into a folder, which is made where it is missing; returns the report's path."""
    there = [name for name in FURTHER_FILES if store.exists(study_file(study_name, run, name))]
    copy_files(store, study_name, run, [*REPORT_FILES, *there], folder)
    return folder / "report.html"


def copy_files(store: Store, study_name: str, run: str, names: Sequence[str], folder: Path) -> None:
    """Copy these files of a run; InputError where the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_bytes(store.read(study_file(study_name, run, name)))
    except OSError as e:
        raise InputError(f"the report cannot be copied to {folder}: {e.strerror}. Name another folder.") from e


def _read_summary(store: Store, key: str) -> dict:
    if not store.exists(key):
        raise MissingKey(f"a report needs a summary, and {store.uri} has no {key}. `consort evaluate` writes it.")
    try:
        summary = json.loads(store.read(key))
    except ValueError as e:
        raise IntegrityError(f"{key} is not readable JSON: {e}. `consort evaluate` writes it anew.") from e
    if not isinstance(summary, dict) or "rows" not in summary:
        raise IntegrityError(f"{key} is not a summary: it has no rows. `consort evaluate` writes it anew.")
    return summary
