"""Reads search.json, writes the report of a search beside it; and copies it out of the store."""

import json
from pathlib import Path

from jinja2 import UndefinedError

from consort.answer.search import answer
from consort.errors import InputError, IntegrityError, MissingKey
from consort.report.search_page import search_html
from consort.report.search_plot import rewards_png
from consort.report.search_table import search_csv, search_markdown, search_parquet
from consort.report.write import copy_files, write_files
from consort.store import Store
from consort.store.keys import study_file

SEARCH_FILES = ("search.html", "search.md", "search.png", "search-trials.csv", "search-trials.parquet", "search.json",
                "study.toml")


def write_search_report(store: Store, study_name: str, run: str) -> list[str]:
    """Write search.html, search.md, search.png and the tables of trials; returns their keys.

    The same search.json gives the same bytes. Raises InputError where the search has not begun, IntegrityError where
    search.json cannot be read.
    """
    results = _read_results(store, study_file(study_name, run, "search.json"))
    try:
        found, picture = answer(results), rewards_png(results)
        files = {"search.html": search_html(results, found, picture).encode(), "search.png": picture,
                 "search.md": search_markdown(results, found).encode(), "search-trials.csv": search_csv(results),
                 "search-trials.parquet": search_parquet(results)}
    except (KeyError, UndefinedError) as e:
        raise IntegrityError(f"search.json of {study_name}/{run} was written by another version of Consort ({e}). "
                             "`consort search` writes it anew.") from e
    return write_files(store, study_name, run, files)


def copy_search_report(store: Store, study_name: str, run: str, folder: Path) -> Path:
    """Copy the files of a search into a folder, which is made where it is missing; returns the page's path."""
    copy_files(store, study_name, run, SEARCH_FILES, folder)
    return folder / "search.html"


def _read_results(store: Store, key: str) -> dict:
    try:
        results = json.loads(store.read(key))
    except MissingKey as e:
        raise InputError(f"the report of a search needs its trials, and {store.uri} has no {key}: `consort search` "
                         "without --only report comes first.") from e
    except ValueError as e:
        raise IntegrityError(f"{key} is not readable JSON: {e}. `consort search` writes it anew.") from e
    if not isinstance(results, dict) or "arms" not in results:
        raise IntegrityError(f"{key} has no results of a search. `consort search` writes it anew.")
    return results
