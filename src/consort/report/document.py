"""Pages in one file: a template with its style, script, numbers and picture in it, and nothing to load."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from consort.report import units


def document(template: str, scripts: Sequence[str], data: dict[str, Any], picture: bytes,
             values: Mapping[str, Any]) -> str:
    """The page of a template, where all values are escaped.

    data: what the scripts draw, embedded as JSON. picture: a PNG for readers without JavaScript.
    """
    script = "".join(map(_source, scripts))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              loader=FunctionLoader(_source))
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": False, "allow_nan": False}
    environment.filters |= {
        "percent": units.percent, "points": units.points, "scaled": units.scaled, "ms": units.milliseconds,
        "duration": units.duration, "plain": units.plain, "unbroken": units.unbroken}
    return environment.get_template(template).render({
        **values,
        "interval": units.interval,
        "data": data,
        "style": Markup(_source("page.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "picture": base64.b64encode(picture).decode(),
    })


def rounded(value: Any) -> Any:
    """Numbers at six significant digits, also within lists and tables; what is no number becomes None."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def gain_scale(entries: Sequence[Mapping[str, Any]]) -> float:
    """The largest gain or interval end of these entries, which their small drawings share as full width."""
    ends = [entry[key] for entry in entries for key in ("gain", "low", "high")]
    return max((abs(end) for end in ends if end is not None), default=0.0) or 0.01


def _source(name: str) -> str:
    return files("consort.report").joinpath(name).read_text(encoding="utf-8")
