"""The budget that a reader moves in a report, in a real browser."""

import dataclasses
import json

import pytest

from budget_worlds import world
from chromium import Browser
from consort.answer.decision import decide
from consort.ensembles.intervals import Seeds
from consort.errors import InputError
from report_summary import SUMMARY

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("seed,metric", [*((seed, "accuracy") for seed in range(6)), (1, "nll"), (4, "nll"),
                                         (1, "balanced_accuracy"), (4, "balanced_accuracy")])
def test_the_script_chooses_and_says_what_python_does_within_any_budget(open_report, seed, metric):
    found, evidence = world(seed, metric=metric)
    browser = open_report(SUMMARY, answered=(found, evidence))
    steps = [1e6, 2e6, 3.3e6, 5e6, 8e6, 12.5e6]
    budgets = [{}, *({"macs": macs} for macs in steps), *({"serial_ms": macs / 2e6} for macs in steps),
               *({"macs": macs, "bytes": macs / 10} for macs in steps), {"macs": 9e6, "serial_ms": 2.5, "bytes": 1e6}]
    script = f"""{json.dumps(budgets)}.map(budget => {{ const chosen = chooser.choose(budget);
        return chosen && {{candidate: chooser.candidates[chosen.candidate].id, best: chooser.candidates[chosen.best].id,
          alternative: chosen.alternative === null ? null : chooser.candidates[chosen.alternative].id,
          ...chooser.say(chosen, budget)}}; }})"""
    fits = 0
    for budget, chosen in zip(budgets, browser.evaluate(script), strict=True):
        try:
            expected = decide(found, evidence, budget)
        except InputError:
            assert chosen is None, budget
            continue
        fits += 1
        assert chosen == {name: getattr(expected, name) for name in ("candidate", "best", "alternative", "text", "why")}
    assert fits > 8


def slide(browser: Browser, cost: str, place: int) -> None:
    browser.evaluate(f"(() => {{ const knob = document.getElementById('bound-{cost}'); knob.value = {place};"
                     " knob.dispatchEvent(new Event('input', {bubbles: true})); })()")


@pytest.mark.parametrize("width", [1280, 390])
def test_moving_the_budget_changes_the_choice_its_difference_and_what_to_export(open_report, width):
    found, evidence = world(1)
    browser = open_report(SUMMARY, width, answered=(found, evidence))
    text = "document.querySelector('#chosen .decision').innerText.replaceAll('\\u00a0', ' ')"
    assert browser.evaluate(text) == found.headline.text
    command = browser.evaluate("document.querySelector('#chosen pre').innerText")
    assert command == f"consort export owls/r1 {found.headline.candidate} -o bundle"
    slide(browser, "macs", 0)
    assert browser.evaluate(text).startswith("Within 1 M MACs: ") and browser.evaluate(text) != found.headline.text
    slide(browser, "serial_ms", 0)
    slide(browser, "macs", 1000)
    assert browser.evaluate(text).startswith("Within 0.5 ms: ")
    slide(browser, "serial_ms", 1000)
    without = decide(found, evidence, {})
    assert browser.evaluate(text) == without.text
    assert without.gain is not None and without.gain.anew is not None
    gain = without.gain
    drawn = browser.evaluate("[...document.querySelectorAll('#chosen .difference .number')].map(n => n.textContent)")
    assert [line.replace("\u00a0", " ") for line in drawn] == [
        f"{100 * gain.value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points (95 %)"
        for low, high in ((gain.low, gain.high), (gain.anew.low, gain.anew.high))]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_unknown_of_recipes_trained_again_is_said_where_the_budget_is_moved(open_report):
    """And the scale of what is known is not that of what is not."""
    found, evidence = world(1)
    found = dataclasses.replace(found, seeds=Seeds(dict.fromkeys("abc", 1e-6), 1e-6, 0.01, 1))
    browser = open_report(SUMMARY, width=390, answered=(found, evidence))
    lines = browser.evaluate("[...document.querySelectorAll('#chosen .difference')].map(line => line.innerText)")
    assert lines[1].split("seeds", 1)[1].strip().startswith("unknown from so few seeds, train more of ")
    drawn = browser.evaluate("document.querySelectorAll('#chosen .difference svg').length")
    assert (drawn, browser.evaluate("document.documentElement.scrollWidth")) == (1, 390)
    ends = [abs(end) for choice in found.choices if (gain := decide(found, evidence, choice.budget).gain)
            for end in (gain.low, gain.high)]
    assert max(ends) <= browser.evaluate("chooser.scale") < 0.3


def test_a_gain_in_nats_is_drawn_in_nats(open_report):
    found, evidence = world(1, metric="nll")
    browser = open_report(SUMMARY | {"metric": "nll"}, answered=(found, evidence))
    gain, text = found.headline.gain, browser.evaluate("document.querySelector('#chosen').innerText")
    assert gain is not None and "Gain over " in text
    number = browser.evaluate("document.querySelector('#chosen .difference .number').textContent")
    assert number.replace("\u00a0", " ") == f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] nats (95 %)"
    assert "What is chosen above is chosen by NLL." in browser.evaluate("document.querySelector('main').innerText")


def test_a_run_of_before_there_were_choices_has_no_budget_to_move(open_report):
    assert open_report(SUMMARY).evaluate("document.getElementById('budget')") is None
