import copy
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from budget_worlds import world
from consort.answer.choices import Confidence, Confidences
from consort.errors import IntegrityError, MissingKey
from consort.report import units, write_report
from consort.report.page import embedded_data, page_html
from consort.report.plot import COLORS, accuracy_macs_png, accuracy_ms_png, style_of, ticks_between
from consort.report.table import table_markdown
from consort.report.write import copy_report
from consort.store.folder import FolderStore
from report_summary import GAIN, HOSTILE, SMALLER, SUMMARY, TEXT, hostile, with_latency

PICTURE = b"\x89PNG"


class Page(HTMLParser):
    """The start tags of a page, its visible text, and its embedded data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.data = ""
        self._hidden = False
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id", "") if tag in ("script", "style") else self._inside
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data
        elif self._inside == "data":
            self.data += data


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write("studies/digits/r1/summary.json", json.dumps(SUMMARY).encode())
    return store


def test_three_files_are_written_and_named(store):
    keys = write_report(store, "digits", "r1")
    assert keys == [f"studies/digits/r1/{name}" for name in ("report.html", "table.md", "accuracy-macs.png")]
    page, table, picture = (store.read(key) for key in keys)
    assert page.startswith(b"<!doctype html>")
    assert len(page) < 2_000_000
    assert table.startswith(b"# One network or three?\n")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")


def test_a_picture_against_latency_is_there_where_latencies_are_and_is_copied_with_the_rest(store, tmp_path):
    timed = with_latency(SUMMARY)
    store.write("studies/digits/r3/summary.json", json.dumps(timed).encode())
    assert write_report(store, "digits", "r3")[-1] == "studies/digits/r3/accuracy-ms.png"
    for name in ("results.csv", "results.parquet", "study.toml"):
        store.write(f"studies/digits/r3/{name}", b"-")
    copied = copy_report(store, "digits", "r3", tmp_path / "copy").with_name("accuracy-ms.png").read_bytes()
    assert copied == accuracy_ms_png(timed) and copied != accuracy_macs_png(timed)
    assert accuracy_ms_png(SUMMARY) is None
    slower = copy.deepcopy(timed)
    slower["rows"][1]["latency_serial_ms"] = 9.0
    assert accuracy_ms_png(slower) != copied and accuracy_macs_png(slower) == accuracy_macs_png(timed)
    for row in slower["rows"]:
        del row["pareto_latency_serial"]  # as an earlier version evaluated it
    assert accuracy_ms_png(slower) is not None


def test_same_summary_gives_same_bytes(store):
    first = [store.read(key) for key in write_report(store, "digits", "r1")]
    assert [store.read(key) for key in write_report(store, "digits", "r1")] == first


def test_a_run_without_a_summary_is_named(store):
    with pytest.raises(MissingKey, match=r"studies/digits/r2/summary\.json.*consort evaluate"):
        write_report(store, "digits", "r2")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"{}"])
def test_a_broken_summary_is_an_integrity_error(store, content):
    store.write("studies/digits/r1/summary.json", content)
    with pytest.raises(IntegrityError, match=r"summary\.json"):
        write_report(store, "digits", "r1")


def test_page_says_answer_missing_members_and_provenance():
    text = Page(page_html(SUMMARY, PICTURE)).text.replace("\u00a0", " ")
    for expected in (SUMMARY["question"], TEXT, SMALLER, "1 planned member is missing", "its loss became NaN",
                     "wrn-10-1: 3 seeds, wrn-10-2: 1 seed.", "95 % paired-bootstrap", 'name = "digits"', "5f1e0c2d",
                     "some processor", "No latency was measured in this run."):
        assert expected in text


def test_page_names_the_hardware_that_latencies_are_from():
    text = Page(page_html(with_latency(SUMMARY), PICTURE)).text.replace("\u00a0", " ")
    assert "On another processor (hardware 0123abcdef). Run in PyTorch." in text and "some processor" in text


def test_page_lists_latencies_of_every_batch_size_with_what_ran_them():
    summary = with_latency(SUMMARY)
    first = summary["latencies"][0]
    summary["latencies"] = [first | {"runtime": "graph"}]
    summary["more_latencies"] = [first | {"runtime": "graph", "batch_size": 64, "median_ms": 4.0}]
    text = Page(page_html(summary, PICTURE)).text.replace("\u00a0", " ")
    assert "Run in PyTorch, as the replay of a CUDA graph." in text
    assert "16.0 k" in text, "images per second in batches of 64"


def test_page_ends_with_the_command_that_exports_what_it_recommends():
    text = Page(page_html(SUMMARY, PICTURE)).text
    assert f"consort export {SUMMARY['study']}/{SUMMARY['run']} -o bundle" in text


def test_page_refers_to_nothing_outside_itself():
    html = page_html(SUMMARY, PICTURE)
    for tag, attributes in Page(html).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    assert "url(" not in html
    assert "@import" not in html


def test_hostile_texts_stay_texts():
    page = Page(page_html(hostile(), PICTURE))
    assert "broken-out" not in [attributes.get("id") for _, attributes in page.tags]
    assert page.text.count(HOSTILE) == 11  # title, heading, answer, missing (2), class, study text, context (3)
    assert HOSTILE in json.loads(page.data)["reliability"]


def test_embedded_rows_are_the_summary_rounded_and_not_a_number_is_unknown():
    summary = copy.deepcopy(SUMMARY)
    summary["rows"][0] |= {"accuracy_mean": 0.123456789, "nll_mean": float("nan")}
    data = embedded_data(summary)
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    changed = next(row for row in rows if row["accuracy_mean"] == 0.123457)
    assert changed["nll_mean"] is None
    assert sorted(row["ensemble"] for row in rows) == sorted(row["ensemble"] for row in SUMMARY["rows"])
    assert data["architectures"] == ["wrn-10-1", "wrn-10-2"]


def test_a_huge_study_keeps_the_page_small_and_drops_the_worst_mixed_ensembles():
    summary = copy.deepcopy(SUMMARY)
    mixed = summary["rows"][4]
    summary["rows"] += [mixed | {"ensemble": f"{i} x wrn-10-1 + 1 x wrn-10-2", "chosen_members": "m" * 300,
                                 "val_accuracy_mean": 0.5 + i * 1e-5} for i in range(3000)]
    summary["rows"][5:5] = summary["rows"][-1000:]
    html = page_html(summary, PICTURE)
    assert len(html.encode()) < 2_000_000
    kept = embedded_data(summary)
    place = kept["columns"].index("ensemble")
    names = {row[place] for row in kept["rows"]}
    assert {"1 x wrn-10-1", "2 x wrn-10-1", "3 x wrn-10-1", "1 x wrn-10-2"} <= names
    assert "2999 x wrn-10-1 + 1 x wrn-10-2" in names
    assert "0 x wrn-10-1 + 1 x wrn-10-2" not in names
    assert "more mixed ensembles, those that do worst on validation" in html


def test_table_has_the_rows_that_carry_the_answer():
    table = table_markdown(with_latency(SUMMARY))
    assert f"**{TEXT}**" in table
    assert f"- {SMALLER}" in table
    assert ("| 3 x wrn-10-1 * | 2.70 M | 1.50 ms | 4.50 ms | 7.29 G | 1 | 95.10 % [93.90, 96.20] | 0.250 | "
            "1 x wrn-10-2 | +1.31 [+0.52, +2.13] |") in table
    assert "1 x wrn-10-1 + 1 x wrn-10-2" not in table  # mixed, and not on the front
    assert "94.87" not in table  # the other combine method
    assert "- wrn-10-2-s1-eeeeeeeeee: its loss became NaN" in table


def test_every_table_line_has_the_header_s_number_of_cells_whatever_is_in_it():
    summary = hostile() | {"rows": [SUMMARY["rows"][0] | {"ensemble": "1 x a|b\n<i>"}]}
    table = table_markdown(summary)
    assert "<" not in table
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert "a\\|b &lt;i&gt;" in lines[2]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert cells == [11] * 3 + [10] * 3


@pytest.mark.parametrize("change", [
    {"rows": []},
    {"rows": SUMMARY["rows"][3:4]},
    {"rows": [row | {"accuracy_low": None, "accuracy_high": None} for row in SUMMARY["rows"]]},
    {"answers": [], "fair_pairs": [], "reliability": {}, "diversity": [], "members": [], "missing": {}, "context": {}},
])
def test_studies_with_little_in_them_still_have_a_report(change):
    summary = SUMMARY | change
    assert page_html(summary, PICTURE).startswith("<!doctype html>")
    assert table_markdown(summary).startswith("# ")
    assert accuracy_macs_png(summary).startswith(b"\x89PNG")


def test_picture_changes_with_the_accuracies():
    summary = copy.deepcopy(SUMMARY)
    summary["rows"][1]["accuracy_mean"] = 0.92
    assert accuracy_macs_png(summary) != accuracy_macs_png(SUMMARY)


def test_picture_and_page_share_their_colours():
    css = Path(units.__file__).with_name("page.css").read_text()
    for index, color in enumerate(COLORS):
        assert f"--a{index}: {color};" in css
    assert len({style_of(index) for index in range(49)}) == 49


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (0, "0"), (999, "999"), (999.7, "1.00 k"), (26_900_000, "26.9 M"), (101_000_000, "101 M"),
    (3_020_000_000_000_000, "3.02 P"), (99_960_000, "100 M"),
])
def test_counts_read_with_three_digits(value, text):
    assert units.scaled(value) == text


def test_differences_carry_their_sign():
    assert units.points(-0.00449) == "-0.45"
    assert units.points(GAIN["gain_macs"]) == "+1.31"
    assert units.interval(-0.01, 0.02, signed=True) == "[-1.00, +2.00]"
    assert units.interval(None, 0.02) == ""


@pytest.mark.parametrize(("seconds", "text"), [
    (None, units.UNKNOWN), (0, "0 s"), (0.0423, "0.042 s"), (2.44, "2.4 s"), (9.46, "9.5 s"), (9.7, "10 s"),
    (42.4, "42 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3599.4, "59 min 59 s"),
    (3599.6, "1 h 00 min"), (7800, "2 h 10 min"), (100 * 3600, "100 h 00 min")])
def test_durations(seconds, text):
    assert units.duration(seconds) == text


def test_labels_of_the_picture_s_axis_have_room():
    assert ticks_between(76e6, 107e6) == [80e6, 90e6, 100e6]
    assert ticks_between(0.6e6, 60e6) == [1e6, 2e6, 5e6, 1e7, 2e7, 5e7]
    assert ticks_between(1e3, 1e12) == [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]
    assert len(ticks_between(98.5e6, 99.5e6)) > 1


def test_the_table_has_the_choices_with_both_intervals_and_how_to_take_one():
    found, _ = world(1)
    table = table_markdown(SUMMARY | {"notes": ["Chosen on few images."]}, found)
    assert "> Chosen on few images." in table and "`consort export owls/r1 ID -o bundle`" in table
    assert table.endswith("`consort export owls/r1 -o bundle`.\n")
    lines = [line for line in table.splitlines() if line.startswith("| Within") or " | c" in line]
    assert len(lines) == 1 + len(found.choices)
    over = found.headline.gain
    assert over is not None and over.anew is not None
    assert lines[1].endswith(f"{units.points(over.value)} {units.interval(over.low, over.high, signed=True)} | "
                             f"{units.interval(over.anew.low, over.anew.high, signed=True)} |")


def test_the_table_of_choices_by_nll_is_in_nats_and_says_what_the_rest_is_about():
    found, _ = world(1, metric="nll")
    table = table_markdown(SUMMARY, found)
    assert "| Test NLL |" in table and "| Gain, nats, these networks |" in table
    assert "The choices are by this metric; what follows is about accuracy." in table
    one, over = found.candidate(found.headline.candidate), found.headline.gain
    assert over is not None
    assert f"| {one.test.value:.3f} [{one.test.value_low:.3f}, {one.test.value_high:.3f}] |" in table
    assert f"| {over.value:+.3f} [{over.low:+.3f}, {over.high:+.3f}] |" in table


def test_the_page_says_by_which_metric_it_is_where_that_is_not_accuracy():
    said = "What is chosen above is chosen by balanced accuracy."
    assert said not in page_html(SUMMARY, b"PNG")
    assert said in page_html(SUMMARY | {"metric": "balanced_accuracy"}, b"PNG")
    gains = page_html({**SUMMARY, "metric": "nll", "answers": [SUMMARY["answers"][1], SUMMARY["answers"][0]]}, b"PNG")
    assert "+0.013 [+0.005, +0.021] nats</span>" in gains


def test_every_way_to_be_sure_is_in_the_table_and_the_page():
    found, seen = world(1)
    each = (Confidence("margin", 0.912, 0.9), Confidence("agreement", 0.9, 0.8912))
    found = dataclasses.replace(found, confidences=Confidences("3 x a|b", 9, each))
    table = table_markdown(SUMMARY, found)
    assert "| margin | 91.20 % | 90.00 % |\n| agreement | 90.00 % | 89.12 % |\n\nCascades of 3 x a\\|b: " in table
    page = Page(page_html(SUMMARY, PICTURE, (found, seen)))
    assert "When a cascade is sure" in page.text and "89.12 %" in page.text
    assert "When a cascade is sure" not in Page(page_html(SUMMARY, PICTURE, world(1))).text


def test_what_is_unknown_of_recipes_trained_again_is_said_with_what_to_do():
    few = "unknown from so few seeds, train more of wrn-10-2"
    pair = SUMMARY["fair_pairs"][0] | {"anew": None, "anew_unknown": few}
    found, seen = world(1)
    over = dataclasses.replace(found.headline.gain, anew=None, anew_unknown=few)
    found = dataclasses.replace(found, choices=(dataclasses.replace(found.headline, gain=over), *found.choices[1:]))
    table = table_markdown(SUMMARY | {"fair_pairs": [pair]}, found)
    assert f"[+0.52, +2.13] | {few} |\n" in table  # of the pair
    assert f"{units.interval(over.low, over.high, signed=True)} | {few} |" in table  # of the choice
    page = page_html(SUMMARY | {"fair_pairs": [pair]}, b"PNG", (found, seen))
    assert f"the same recipes trained again: {few}</span>" in page
    before = {name: value for name, value in pair.items() if name != "anew_unknown"}
    assert ("trained again: unknown until some network is trained with two seeds</span>"
            in page_html(SUMMARY | {"fair_pairs": [before]}, b""))


@pytest.mark.parametrize("anew,verdict", [
    ({"low": -0.003, "high": 0.029, "resolved": False}, "open"),
    ({"low": 0.003, "high": 0.029, "resolved": True}, "up"),
    (None, "open")])
def test_a_fair_pair_has_the_verdict_of_the_same_recipes_trained_again(anew, verdict):
    """These very networks differ in all three."""
    pairs = page_html({**SUMMARY, "fair_pairs": [SUMMARY["fair_pairs"][0] | {"anew": anew}]}, b"PNG")
    assert f'<span class="gain {verdict}">' in pairs[pairs.index('id="fair-pairs"'):]


@pytest.mark.parametrize("text,kept", [
    ("96.2 % at 1.42 M MACs and 0.245 ms on average", "96.2_% at 1.42_M MACs and 0.245_ms on average"),
    ("has 94.2 %: +2.1 points more", "has 94.2_%: +2.1_points more"),
    ("318 kB, 12 B, 0.19 nats.", "318_kB, 12_B, 0.19_nats."),
    ("then 2 messages", "then 2 messages"), ("NLL 0.41 nats", "NLL 0.41_nats")])
def test_no_line_ends_between_a_number_and_its_unit(text, kept):
    assert units.unbroken(text) == kept.replace("_", "\u00a0")


def test_numbers_of_a_page_have_one_form():
    assert [units.plain(value) for value in (7, 1197, 1_281_167, 0.12345, True, None, "a")] == [
        "7", "1,197", "1,281,167", "0.1235", "yes", units.UNKNOWN, "a"]
    assert [units.milliseconds(value) for value in (0.3, 1.1, 12.345, 99.96, 1234.5, None)] == [
        "0.300 ms", "1.10 ms", "12.3 ms", "100 ms", "1,234 ms", units.UNKNOWN]


def test_of_an_imported_member_no_training_is_told():
    members = [member | {"imported": True, "history": [], "train_images": 0, "train_seconds": 0.0,
                         "train_cpu_seconds": 0.0} for member in SUMMARY["members"][:1]]
    row = page_html(SUMMARY | {"members": members}, PICTURE).split("(imported)")[1].split("</tr>")[0]
    assert row.count(">\u2013</td>") == 3 and "0 s" not in row


def test_no_line_begins_with_the_comma_behind_a_name_or_an_interval():
    assert units.unbroken("one wrn-10-1, has [+0.1, +0.2].") == (
        'one <span class="whole">wrn-10-1,</span> has <span class="whole">[+0.1, +0.2].</span>')
