"""The report in a real browser: Debian's chromium, headless."""

import dataclasses
from itertools import pairwise

import pytest

from budget_worlds import world
from consort.answer.choices import Confidence, Confidences
from report_pages import FIRST_COLUMN, TOOLTIP, centre, choose, point, points_of
from report_summary import SUMMARY, hostile, with_latency
from search_results import RESULTS

pytestmark = pytest.mark.browser

PLOTS = ("plot-macs", "plot-latency-parallel", "plot-latency-serial", "plot-train-macs", "plot-diversity")


def test_every_plot_has_its_points(open_report):
    browser = open_report(with_latency(SUMMARY))
    assert {plot: points_of(browser, plot) for plot in PLOTS} == dict.fromkeys(PLOTS[:4], 5) | {"plot-diversity": 1}
    assert browser.evaluate("document.querySelectorAll('#plot-macs .line').length") == 2
    assert browser.evaluate("document.querySelectorAll('#plot-macs .plot .front').length") == 1
    assert browser.evaluate("document.querySelectorAll('#plot-macs .bar:not(.own)').length") == 4
    assert browser.evaluate("document.querySelectorAll('#reliability .point').length") == 3


def test_plots_without_data_are_left_out_with_a_sentence(open_report):
    browser = open_report(SUMMARY)
    assert points_of(browser, "plot-latency-serial") == 0
    text = browser.evaluate("document.querySelector('#plot-latency-serial .plot').innerText")
    assert text == "The latency of these ensembles is not known, so this plot is left out."
    assert points_of(browser, "plot-macs") == 5


def test_hovering_a_point_says_what_it_is(open_report):
    browser = open_report(with_latency(SUMMARY))
    x, y = centre(browser, point("3 x wrn-10-1"))
    assert browser.evaluate(TOOLTIP) is None
    browser.mouse("mouseMoved", x + 3, y + 2)
    text = browser.evaluate(TOOLTIP).replace("\u00a0", " ")
    assert text.splitlines() == [
        "3 x wrn-10-1", "accuracy 95.10 % [93.90, 96.20]", "mean of 1 subset of seeds",
        "2.70 M MACs, 27.0 k parameters",
        "latency 1.50 ms parallel, 4.50 ms serial", "7.29 G MACs to train",
        "+1.31 points [+0.52, +2.13] against 1 x wrn-10-2, the best single that costs no more"]
    browser.mouse("mouseMoved", 5, 5)
    assert browser.evaluate(TOOLTIP) is None


def test_tapping_a_point_on_a_phone_says_what_it_is(open_report):
    browser = open_report(SUMMARY, width=360)
    x, y = centre(browser, point("1 x wrn-10-1 + 1 x wrn-10-2"))
    browser.tap(x + 6, y + 6)
    text = browser.evaluate(TOOLTIP)
    assert "mean of 3 sampled subsets of seeds, sd 1.10" in text
    assert "latency unknown" in text
    left, right = browser.evaluate("(({left, right}) => [left, right])(tooltip.getBoundingClientRect())")
    assert 0 <= left < right <= 360
    browser.tap(*centre(browser, "h1"))
    assert browser.evaluate(TOOLTIP) is None


def test_points_answer_to_the_keyboard(open_report):
    browser = open_report(SUMMARY)
    browser.evaluate("document.getElementById('mixed').focus()")
    browser.key("Tab")
    assert browser.evaluate(TOOLTIP).startswith("1 x wrn-10-1\n")
    browser.key("ArrowRight")
    assert browser.evaluate(TOOLTIP).startswith("2 x wrn-10-1\n")
    browser.key("Escape")
    assert browser.evaluate(TOOLTIP) is None


def test_a_click_on_a_heading_sorts_and_a_second_turns_round(open_report):
    browser = open_report(SUMMARY)
    by_macs = ["1 x wrn-10-1", "2 x wrn-10-1", "3 x wrn-10-1", "1 x wrn-10-2", "1 x wrn-10-1 + 1 x wrn-10-2"]
    assert browser.evaluate(FIRST_COLUMN) == by_macs
    for expected in ([by_macs[i] for i in (2, 4, 1, 3, 0)], [by_macs[i] for i in (0, 3, 1, 4, 2)]):
        x, y = centre(browser, "#table th[title=accuracy_mean] button")
        browser.mouse("mousePressed", x, y)
        browser.mouse("mouseReleased", x, y)
        assert browser.evaluate(FIRST_COLUMN) == expected
    assert browser.evaluate("document.querySelector('th[title=accuracy_mean]').ariaSort") == "ascending"


def test_unknown_values_sort_last_both_ways(open_report):
    browser = open_report(SUMMARY)
    for _ in range(2):
        browser.evaluate("document.querySelector('th[title=gain_macs] button').click()")
        assert set(browser.evaluate(FIRST_COLUMN)[:2]) == {"2 x wrn-10-1", "3 x wrn-10-1"}


def test_combine_method_and_test_set_filter_plots_and_table(open_report):
    browser = open_report(SUMMARY)
    choose(browser, "combine", "arithmetic")
    assert browser.evaluate(FIRST_COLUMN) == ["1 x wrn-10-1", "3 x wrn-10-1"]
    assert points_of(browser, "plot-macs") == 2
    choose(browser, "combine", "geometric")
    choose(browser, "test-set", "noisy")
    assert browser.evaluate(FIRST_COLUMN) == ["1 x wrn-10-1", "1 x wrn-10-2"]
    choose(browser, "combine", "arithmetic")
    assert points_of(browser, "plot-macs") == 0
    assert browser.evaluate("document.getElementById('row-count').textContent") == (
        "0 ensembles, arithmetic mean, test set noisy")


def test_all_columns_and_search(open_report):
    browser = open_report(SUMMARY)
    headings = "[...document.querySelectorAll('#table th')].map(cell => cell.title)"
    chosen = browser.evaluate(headings)
    browser.evaluate("document.getElementById('all-columns').click()")
    assert browser.evaluate(headings)[:len(chosen)] == chosen
    assert set(browser.evaluate(headings)) == set(SUMMARY["rows"][0]) - {"combine", "test_set"}
    browser.evaluate("(() => { const find = document.getElementById('find'); find.value = '3 X';"
                     " find.dispatchEvent(new Event('input')); })()")
    assert browser.evaluate(FIRST_COLUMN) == ["3 x wrn-10-1"]


@pytest.mark.parametrize("media", [{}, {"prefers_color_scheme": "dark"}])
def test_a_phone_never_scrolls_sideways_and_its_letters_stay_legible(open_report, media):
    browser = open_report(with_latency(SUMMARY), width=360, **media)
    browser.evaluate("document.getElementById('all-columns').click()")
    assert browser.evaluate("document.documentElement.scrollWidth") == 360
    assert browser.evaluate("document.querySelector('#table').parentElement.scrollWidth") > 360
    zoom = "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    zooms = browser.evaluate(f"[...document.querySelectorAll('.plot svg')].map({zoom})")
    assert len(zooms) == 6
    assert all(0.95 < ratio < 1.05 for ratio in zooms)
    dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == bool(media)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("macs", [(79e6, 83e6, 104e6), (1e3, 2e8, 3e12), (98e6, 99e6, 101e6)])
def test_labels_of_an_axis_leave_each_other_room(open_report, width, macs):
    rows = [row | {"macs": int(cost), "latency_serial_ms": cost / 1e7, "latency_parallel_ms": cost / 1e7}
            for row, cost in zip(with_latency(SUMMARY)["rows"][:3], macs, strict=True)]
    browser = open_report(SUMMARY | {"rows": rows}, width)
    boxes = browser.evaluate("""['plot-macs', 'plot-latency-serial', 'plot-train-macs'].map(id =>
        [...document.querySelectorAll(`#${id} .plot svg > text[text-anchor=middle]:not([class])`)]
          .map(text => text.getBoundingClientRect()).map(box => [box.y, box.left, box.right]))""")
    for plot in boxes:
        ticks = sorted((left, right) for y, left, right in plot if y == min(box[0] for box in plot))
        assert len(ticks) > 1
        assert all(right + 4 < left for (_, right), (left, _) in pairwise(ticks)), ticks


def test_on_a_phone_the_gain_is_seen_beside_the_accuracy(open_report):
    browser = open_report(SUMMARY, width=390)
    right = "document.querySelector('#table th[title=gain_macs]').getBoundingClientRect().right"
    assert browser.evaluate(right) < 390


def test_plots_follow_the_width_of_the_window(open_report):
    browser = open_report(SUMMARY)
    browser.call("Emulation.setDeviceMetricsOverride", width=500, height=900, deviceScaleFactor=1, mobile=False)
    browser.evaluate("new Promise(done => setTimeout(done, 200))")
    assert browser.evaluate("document.querySelector('#plot-macs .plot svg').viewBox.baseVal.width") < 500


OUTSIDE = """[...document.querySelectorAll('body *')].filter(element => {
  const {width, left, right} = element.getBoundingClientRect();
  const scrolls = box => ['auto', 'hidden', 'scroll'].includes(getComputedStyle(box).overflowX);
  for (let box = element.parentElement; box !== document.documentElement; box = box.parentElement)
    if (scrolls(box) && box !== document.body) return false;
  return width && (left < -1 || right > document.documentElement.clientWidth + 1);
}).map(element => element.outerHTML.slice(0, 80))"""
"""What sticks out of the page; a table may within a box that scrolls."""


def long_names() -> dict:
    """Members and ensembles of networks whose names are long."""
    summary = with_latency(SUMMARY)
    name = "net-s-w16d1k3-m24d2k3e4-q32d1k5e3"
    for member in summary["members"]:
        member |= {"id": member["id"].replace("wrn-10-1", name), "train_images": 15_000_000, "params": 5_300_000,
                   "train_seconds": 86_000, "train_cpu_seconds": 86_000, "imported": True}
    for row in summary["rows"]:
        row["ensemble"] = row["ensemble"].replace("wrn-10-1", name)
        row["versus_macs"] = row["versus_macs"] and f"1 x {name}"
    return summary


@pytest.mark.parametrize("summary", [with_latency(SUMMARY), long_names(), RESULTS], ids=["report", "long", "search"])
def test_nothing_sticks_out_of_the_page_on_screens_and_on_paper(open_report, summary):
    found, seen = world(1)
    each = (Confidence("probability", 0.912, 0.9), Confidence("agreement", 0.9, 0.8912))
    answered = dataclasses.replace(found, confidences=Confidences("2 x wrn-10-1 + 1 x wrn-10-2", 9, each)), seen
    for width in (390, 720, 1024, 1440):
        browser = open_report(summary, width, answered, prefers_color_scheme="dark" if width == 720 else "light")
        assert (width, browser.evaluate(OUTSIDE)) == (width, [])
    for width in (720, 690):  # a page of A4 has 688 between its margins, one of Letter 710
        browser = open_report(summary, width, answered)
        browser.call("Emulation.setEmulatedMedia", media="print")
        browser.evaluate("(window.dispatchEvent(new Event('beforeprint')), new Promise(requestAnimationFrame))")
        assert browser.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
        assert (width, browser.evaluate(OUTSIDE)) == (width, [])
        browser.call("Emulation.setEmulatedMedia", media="")


def test_hostile_texts_do_not_become_elements(open_report):
    browser = open_report(hostile())
    assert browser.evaluate("document.getElementById('broken-out')") is None
    assert points_of(browser, "plot-macs") == 5


@pytest.mark.parametrize("change", [
    {"rows": []}, {"rows": SUMMARY["rows"][3:4]},
    {"answers": [], "fair_pairs": [], "reliability": {}, "diversity": [], "members": [], "missing": {}, "context": {}}])
def test_studies_with_little_in_them_open_too(open_report, change):
    browser = open_report(SUMMARY | change)
    assert browser.evaluate("document.querySelector('.answer').innerText").startswith("Under 3.2")


def test_controls_with_nothing_to_choose_are_not_seen(open_report):
    seen = "[...document.querySelectorAll('#controls label')].map(label => label.offsetParent !== null)"
    assert open_report(SUMMARY).evaluate(seen) == [True, True, True]
    rows = [row for row in SUMMARY["rows"] if row["kind"] != "mixed" and row["test_set"] == "test"
            and row["combine"] == "geometric"]
    assert open_report(SUMMARY | {"rows": rows}).evaluate(seen) == [False, False, False]


def test_no_line_of_the_table_ends_within_a_name_of_a_network(open_report):
    browser = open_report(SUMMARY, width=390)
    heights = browser.evaluate("[...document.querySelectorAll('#table tbody .whole')].map(part => part.offsetHeight)")
    assert len(heights) == 6 and max(heights) == min(heights)


def test_it_prints(open_report):
    browser = open_report(with_latency(SUMMARY), prefers_color_scheme="dark")
    assert browser.pdf().startswith(b"%PDF")
    assert browser.evaluate("document.querySelector('#plot-macs .plot svg').viewBox.baseVal.width") > 700
