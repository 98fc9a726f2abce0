"""The metric by which a study chooses, in words: its values, differences of them, and their units.

Differences are gains, larger is better: of accuracies one minus the other, in points; of NLLs the other minus the one,
in nats.
"""

import math

from consort.answer.choices import Gain

NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "nll": "NLL"}
MOST = {"accuracy": "the most accurate", "balanced_accuracy": "the best in balanced accuracy", "nll": "the best in NLL"}

DETAILED_FROM = 20_000
"""Test images from which a value gets one decimal more: one decimal of a percentage, or two of an NLL, is less than
half a standard error below."""
LEAST = 1e-4
"""Of a point or a nat: a smaller difference is said to be as large as this."""


def goodness(metric: str, value: float) -> float:
    """Larger is better."""
    return -value if metric == "nll" else value


def as_good(metric: str) -> str:
    """Such as "as accurate as"."""
    return "as accurate as" if metric == "accuracy" else "as good as"


def unit(metric: str) -> str:
    """Of a difference, one of them: "point" or "nat"."""
    return "nat" if metric == "nll" else "point"


def scale(metric: str) -> int:
    """How many units 1 is."""
    return 1 if metric == "nll" else 100


def decimals(metric: str) -> int:
    """Of values and differences in tables."""
    return 3 if metric == "nll" else 2


def shown(metric: str, value: float, num_images: int) -> str:
    """Such as "86.9 %", "balanced accuracy 71.2 %" or "NLL 0.41 nats"."""
    text = f"{value:.{_decimals(num_images) + 1}f} nats" if metric == "nll" else percent(value, num_images)
    return f"{_before(metric)}{text}"


def against(metric: str, value: float, other: float) -> str:
    """Such as "70.0 against 80.0 %" or "NLL 0.41 against 0.38 nats"."""
    first = shown(metric, value, 0).rpartition(" ")[0]
    return f"{first} against {shown(metric, other, 0).removeprefix(_before(metric))}"


def _before(metric: str) -> str:
    return "" if metric == "accuracy" else f"{NAMES[metric]} "


def percent(share: float, num_images: int) -> str:
    return f"{100 * share:.{_decimals(num_images)}f} %"


def gained(metric: str, gain: Gain, num_images: int, sign: int = 1) -> str:
    """Such as "+1.4 points [+0.2, +2.5]" or "a gain of 0.030 nats [+0.010, +0.050]"; sign -1: seen from the other
    side."""
    low, high = (gain.low, gain.high) if sign > 0 else (-gain.high, -gain.low)
    digits = _decimals(num_images) + (2 if metric == "nll" else 0)

    def text(difference: float) -> str:
        return f"{round(scale(metric) * difference, digits) + 0.0:+.{digits}f}"

    value, between = text(sign * gain.value), f"[{text(low)}, {text(high)}]"
    if metric == "nll":
        return f"a {'loss' if value[0] == '-' else 'gain'} of {value[1:]} nats {between}"
    return f"{value} points {between}"


def largest_difference(metric: str, classes: int) -> float:
    """That two candidates can have: of accuracies 1, of calibrated NLLs that of guessing."""
    return math.log(classes) if metric == "nll" else 1.0


def size(metric: str, difference: float) -> str:
    """Such as "0.33 points" or "0.012 nats"."""
    text = f"{max(scale(metric) * difference, LEAST):.2g}"
    return f"{text} {unit(metric)}{'' if text == '1' else 's'}"


def number(metric: str, value: float) -> str:
    """For a column of values: "86.93" (percent) or "0.412" (nats)."""
    return f"{scale(metric) * value:.{decimals(metric)}f}"


def signed(metric: str, difference: float) -> str:
    """For a column of differences: "+0.33" or "+0.012"."""
    return f"{scale(metric) * difference:+.{decimals(metric)}f}"


def difference(metric: str) -> str:
    """What a column of differences holds, in its unit: of NLLs, where the smaller is better, "gain, nats"."""
    return "gain, nats" if metric == "nll" else "difference, points"


def _decimals(num_images: int) -> int:
    return 2 if num_images >= DETAILED_FROM else 1
