"""What tests of a report in a browser do with its page."""

import json

from chromium import Browser

FIRST_COLUMN = "[...document.querySelectorAll('#table tbody td:first-child')].map(cell => cell.textContent)"
TOOLTIP = "document.getElementById('tooltip').hidden ? null : document.getElementById('tooltip').innerText"


def centre(browser: Browser, selector: str) -> tuple[float, float]:
    """Scroll an element to the middle of the window; where its centre is then."""
    return tuple(browser.evaluate(
        f"(async () => {{ const element = document.querySelector({json.dumps(selector)});"
        " element.scrollIntoView({block: 'center', behavior: 'instant'});"
        " await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
        " const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"))


def points_of(browser: Browser, plot: str) -> int:
    return browser.evaluate(f"document.querySelectorAll('#{plot} .point').length")


def point(label: str) -> str:
    return f'#plot-macs .point[aria-label^="{label};"]'


def choose(browser: Browser, control: str, value: str) -> None:
    browser.evaluate(f"(() => {{ const select = document.getElementById('{control}'); select.value = '{value}';"
                     " select.dispatchEvent(new Event('change', {bubbles: true})); })()")
