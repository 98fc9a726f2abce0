"""The report of a search in a real browser."""


import pytest

from report_pages import FIRST_COLUMN, TOOLTIP, centre, choose, points_of
from search_results import RESULTS, changed
from search_results import hostile as hostile_search

pytestmark = pytest.mark.browser


def test_a_search_has_its_plots_drawings_and_table(open_report):
    browser = open_report(RESULTS)
    kinds = browser.evaluate("[...document.querySelectorAll('#rewards figure')].map(f => f.dataset.kind)")
    assert kinds == ["single", "uniform", "joint"]
    assert browser.evaluate("document.querySelectorAll('#rewards .line').length") == 6  # a sampler and its control
    assert browser.evaluate("document.querySelectorAll('#rewards .line[stroke-dasharray]').length") == 3
    done = sum(trial["reward"] is not None for arm in RESULTS["arms"] for trial in arm["trials"])
    assert points_of(browser, "plot-front") == done
    assert browser.evaluate("document.querySelectorAll('#plot-front .line').length") == 3
    assert browser.evaluate("document.querySelectorAll('#plot-front .bar:not(.own)').length") > 3
    assert points_of(browser, "plot-winners") == 4
    assert browser.evaluate("document.querySelectorAll('svg.network').length") == 5
    assert browser.evaluate("document.querySelectorAll('#table tbody tr').length") == 100
    browser.evaluate("document.getElementById('more').click()")
    assert browser.evaluate("document.querySelectorAll('#table tbody tr').length") == 144


def test_a_search_s_latency_can_be_summed_and_its_trials_found(open_report):
    browser = open_report(RESULTS)
    at = "document.querySelector('#plot-winners .point').getAttribute('transform')"
    before = browser.evaluate(at)
    choose(browser, "latency", "serial_latency_ms")
    assert browser.evaluate(at) != before
    name = RESULTS["arms"][0]["trials"][0]["networks"][0]
    browser.evaluate(f"(() => {{ const find = document.getElementById('find'); find.value = '{name}';"
                     " find.dispatchEvent(new Event('input')); })()")
    assert set(browser.evaluate(FIRST_COLUMN)) >= {f"1 x {name}"}
    x, y = centre(browser, "#plot-winners .point")
    browser.mouse("mouseMoved", x, y)
    assert "accuracy" in browser.evaluate(TOOLTIP)


@pytest.mark.parametrize("results", [changed(final=None), changed(final=None, arms=[]), hostile_search()])
def test_a_search_with_little_or_hostile_text_opens_too(open_report, results):
    browser = open_report(results, width=360)
    assert browser.evaluate("document.getElementById('broken-out')") is None
    assert browser.evaluate("document.documentElement.scrollWidth") == 360
    assert browser.evaluate("document.querySelector('.answer').innerText")


def test_a_search_prints(open_report):
    browser = open_report(RESULTS)
    assert browser.pdf().startswith(b"%PDF")
