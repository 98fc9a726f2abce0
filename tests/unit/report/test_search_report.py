"""The report of a search: its page, tables and picture, from a search.json made by hand."""

import copy
import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.answer.search import answer
from consort.answer.search_rows import (
    COLUMNS,
    best_so_far,
    front,
    label,
    leaders,
    reward_floor,
    trial_rows,
)
from consort.ensembles.bounds import wilson
from consort.errors import InputError, IntegrityError
from consort.report import copy_search_report, units, write_search_report
from consort.report.search_drawing import described, drawing
from consort.report.search_page import MAX_ROW_BYTES, embedded_trials, search_html
from consort.report.search_plot import rewards_png
from consort.report.search_table import search_csv, search_markdown, search_parquet
from consort.report.search_write import SEARCH_FILES
from consort.store import keys
from consort.store.folder import FolderStore
from report_summary import HOSTILE
from search_results import MIXED, RESULTS, SINGLE, changed, hostile

PNG = b"\x89PNG\r\n\x1a\n"


def page(results: dict) -> str:
    return search_html(results, answer(results), PNG)


def without_trials() -> dict:
    results = copy.deepcopy(RESULTS) | {"final": None, "retraining": None}
    for arm in results["arms"]:
        arm["trials"] = []
    return results


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), max_size=30))
def test_the_front_is_what_no_other_point_beats(points):
    found = front(points)
    beaten = {p for p in points for q in points if q[0] <= p[0] and q[1] >= p[1] and q != p}
    assert set(found) == set(points) - beaten
    assert found == sorted(found)


def test_the_front_leaves_out_what_is_not_known():
    assert front([(None, 0.5), (1.0, None), (2.0, 0.4)]) == [(2.0, 0.4)]


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.6, 0.999))
def test_wilson_holds_the_share_and_stays_within_0_and_1(right, more, confidence):
    count = right + more
    low, high = wilson(right / count, count, confidence)
    assert 0 <= low <= right / count + 1e-12 and right / count - 1e-12 <= high <= 1


def test_wilson_as_published():
    """81 of 263: Newcombe 1998, table I, method 3."""
    assert wilson(81 / 263, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_best_so_far_ends_at_the_last_trial():
    trials = [{"number": n, "reward": r} for n, r in enumerate([None, 0.2, 0.1, 0.3, None])]
    assert best_so_far(reversed(trials)) == [(2, 0.2), (4, 0.3), (5, 0.3)]
    assert best_so_far([]) == []


def test_the_floor_is_among_the_rewards_and_only_outliers_are_below():
    assert reward_floor([0.5, 0.51, 0.52, 0.53, 0.54, -3.0]) > 0.4
    assert reward_floor([0.5]) == 0.5


def test_leaders_are_the_winners_or_the_best_within_the_target():
    assert leaders(RESULTS) == {row["kind"]: row["networks"] for row in RESULTS["final"]["winners"]}
    results = changed(final=None)
    named = {row["kind"]: row["networks"] for row in RESULTS["retraining"]["rows"] if row["winner"]}
    assert leaders(results) == named, "by both trainings"
    results = changed(final=None, retraining=None)
    for kind, networks in leaders(results).items():
        trials = [t for arm in results["arms"] if arm["kind"] == kind for t in arm["trials"] if t["reward"] is not None]
        chosen = next(t for t in trials if t["networks"] == networks)
        assert chosen["latency_ms"] <= 0.8
        assert all(t["reward"] <= chosen["reward"] for t in trials if t["latency_ms"] <= 0.8)
    assert leaders(without_trials()) == {}


def test_tables_of_trials_have_a_row_for_each_and_the_same_columns():
    rows = list(csv.DictReader(io.StringIO(search_csv(RESULTS).decode())))
    assert len(rows) == sum(len(arm["trials"]) for arm in RESULTS["arms"]) and list(rows[0]) == list(COLUMNS)
    import pyarrow.parquet as pq

    stored = pq.read_table(io.BytesIO(search_parquet(RESULTS))).to_pylist()
    assert stored == trial_rows(RESULTS)
    assert [row["reason"] for row in stored if row["state"] == "failed"] == ["its loss became NaN"] * 6


def test_markdown_has_the_answer_the_winners_and_every_arm():
    text = search_markdown(RESULTS, answer(RESULTS))
    assert answer(RESULTS).headline in text and "## The winners, trained again" in text
    assert label(MIXED) in text and text.count("random (control)") == 3
    assert "off by 3.4 % in the mean (bias -1.2 %, worst -9.1 %)" in text


def test_the_second_trainings_stand_in_the_page_and_every_table():
    text, html = search_markdown(RESULTS, answer(RESULTS)), page(RESULTS)
    rows = RESULTS["retraining"]["rows"]
    for row in rows:
        numbers = [f"{row[name]:.4f}" for name in ("reward", "reward_second", "reward_mean")]
        assert " | ".join(numbers) in text and all(f">{number}<" in html for number in numbers)
    assert text.count("| winner |") == 3 and html.count("<td>winner</td>") == 3
    assert "| second trainings | 2 | 0 |" in text and "| 170 G |" in text and "| 2.00 T |" in text
    by_trial = {row["trial"]: row for row in trial_rows(RESULTS)}
    assert [by_trial[row["trial"]]["reward_second"] for row in rows] == [row["reward_second"] for row in rows]
    assert sum(row["second_trial"] is not None for row in by_trial.values()) == len(rows)


def test_what_an_earlier_version_found_has_none_of_them():
    older = {name: value for name, value in RESULTS.items() if name not in ("retraining", "train_macs")}
    for arm in (older := copy.deepcopy(older))["arms"]:
        del arm["train_macs"]
    text = search_markdown(older, answer(older))
    assert "Second trainings" not in text and "Second trainings" not in page(older)
    assert {row["reward_second"] for row in trial_rows(older)} == {None}


@pytest.mark.parametrize("results", [RESULTS, changed(final=None), without_trials(),
                                     changed(arms=RESULTS["arms"][:1], final=None, latency_table=None,
                                             retraining=None)],
                         ids=["full", "before the winners", "before the trials", "one arm"])
def test_every_file_can_be_made_at_any_time(results):
    html = page(results)
    assert units.unbroken(answer(results).headline) in html
    assert search_markdown(results, answer(results)) and rewards_png(results).startswith(PNG)
    assert html.count('<svg class="network"') == sum(len(set(names)) for names in leaders(results).values())


def test_the_page_needs_nothing_from_outside():
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\(|@import|fetch\(', page(RESULTS))


def test_hostile_texts_stay_texts():
    html, text = page(hostile()), search_markdown(hostile(), answer(hostile()))
    assert HOSTILE not in html and '<b id="broken-out">' not in html
    assert '<b id="broken-out">' not in text


def test_a_huge_search_keeps_the_page_small_and_drops_the_worst_trials():
    results = copy.deepcopy(RESULTS)
    arm = results["arms"][0]
    arm["trials"] = [dict(trial, number=n) for n, trial in enumerate(arm["trials"] * 400)]
    data = embedded_trials(results)
    assert len(json.dumps(data["rows"])) < 1.1 * MAX_ROW_BYTES
    column = data["columns"].index("reward")
    kept = [row[column] for row in data["rows"]]
    assert kept == sorted(kept, reverse=True)
    html = page(results)
    assert len(html.encode()) < 2_000_000 and "more trials, those of the lowest rewards" in html


def test_a_drawing_has_a_rectangle_for_every_block_and_says_the_same_in_words():
    svg = drawing("net-s-w16d2k3-m24d3k5e4-q32d2k3e6n", 32)
    assert svg.count('class="block"') == 1 + 2 + 3 + 2
    assert svg.count('class="skip"') == 2 + 2 + 0
    words = described("net-s-w16d2k3-m24d3k5e4-q32d2k3e6n")
    assert "stage 2: 3 MBConv of 24 channels, 5×5, expansion 4" in words and "no skip" in words
    assert words.replace("'", "&#39;") in svg
    assert "at 8×8" in svg and "1/4 of its side" in drawing(SINGLE)


def test_it_is_written_beside_search_json_and_copied(tmp_path):
    store = FolderStore(tmp_path / "store")
    with pytest.raises(InputError, match=r"no studies/looking/1a2b/search\.json.*comes first"):
        write_search_report(store, "looking", "1a2b")
    store.write(keys.study_file("looking", "1a2b", "search.json"), json.dumps(RESULTS).encode())
    store.write(keys.study_file("looking", "1a2b", "study.toml"), b"")
    written = write_search_report(store, "looking", "1a2b")
    first = {key: store.read(key) for key in written}
    assert write_search_report(store, "looking", "1a2b") == written
    assert {key: store.read(key) for key in written} == first
    assert copy_search_report(store, "looking", "1a2b", tmp_path / "here").name == "search.html"
    assert {path.name for path in (tmp_path / "here").iterdir()} == set(SEARCH_FILES)


@pytest.mark.parametrize(("content", "words"), [
    (b"{", "not readable JSON"), (b"[]", "no results of a search"),
    (json.dumps({k: v for k, v in RESULTS.items() if k != "val_images"}).encode(), "another version of Consort")])
def test_a_search_json_that_cannot_be_used_is_named(tmp_path, content, words):
    store = FolderStore(tmp_path)
    store.write(keys.study_file("looking", "1a2b", "search.json"), content)
    with pytest.raises(IntegrityError, match=words):
        write_search_report(store, "looking", "1a2b")
