"""Numbers of the summary as text for a reader. Fractions become percent; what is unknown becomes a dash."""

import re
from typing import Any

from markupsafe import Markup

from consort.answer.amounts import format_duration, format_nearest

UNKNOWN = "–"
_UNIT = re.compile(r"(?<=\d) (?=(?:%|[kMGT]|ms|k?B|[MG]B|nats?|points?)(?!\w))")
_WHOLE = re.compile(r"((?:[\w.]+(?:-[\w.]+)+|\[[-+\d., ]+\])[,;:.)]*)")


def percent(fraction: float | None) -> str:
    return UNKNOWN if fraction is None else f"{100 * fraction:.2f} %"


def points(difference: float | None, nats: bool = False) -> str:
    """A difference of two fractions, in percentage points with its sign; or one of nats as it is."""
    return UNKNOWN if difference is None else f"{difference:+.3f}" if nats else f"{100 * difference:+.2f}"


def interval(low: float | None, high: float | None, signed: bool = False, nats: bool = False) -> str:
    """`[91.10, 92.30]` in percent or percentage points, or in nats; empty where there is none."""
    if low is None or high is None:
        return ""
    scale, form = (1, ".3f") if nats else (100, ".2f")
    form = f"+{form}" if signed else form
    return f"[{scale * low:{form}}, {scale * high:{form}}]"


def scaled(count: float | None) -> str:
    """Three significant digits with k, M, G, T, P or E: 26800000 is `26.8 M`."""
    return UNKNOWN if count is None else format_nearest(count)


def milliseconds(value: float | None) -> str:
    """Three digits, zeros too, so that a column of them is aligned: `0.300 ms`."""
    return UNKNOWN if value is None else f"{value:#.3g} ms" if value < 99.95 else f"{value:,.0f} ms"


def decimal(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else format_duration(seconds)


def tick(count: float) -> str:
    """A round number on an axis: `50 M` where `scaled` says `50.0 M`."""
    return scaled(count).replace(".00 ", " ").replace(".0 ", " ")


def unbroken(sentence: str) -> Markup:
    """The same words, escaped, with no line break inside `3 x wrn-16-1` or an interval, nor between a number and its
    unit or before the comma behind one of these."""
    text = _UNIT.sub("\u00a0", sentence.replace(" x ", "\u00a0x\u00a0"))
    return Markup("").join(Markup('<span class="whole">{}</span>').format(part) if i % 2 else part
                           for i, part in enumerate(_WHOLE.split(text)))


def plain(value: Any) -> str:
    """Any scalar of the context, readable."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
