"""report.html: one file that needs nothing else. The numbers are embedded as JSON, page.js draws them."""

import base64
import hashlib
import json
import math
from collections import Counter
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from consort.report import units
from consort.report.select import architectures, main_rows

# The page stays under 2 MB: this much for rows, which leaves room for the picture, the pairs and the members.
MAX_ROW_BYTES = 1_200_000
MAX_MEMBERS_LISTED = 300


def page_html(summary: dict, picture: bytes) -> str:
    """The whole page, with a PNG for readers without JavaScript. What came from the summary is escaped."""
    script = _source("chart.js") + _source("table.js") + _source("page.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": False, "allow_nan": False}
    environment.filters |= {
        "percent": units.percent, "points": units.points, "scaled": units.scaled, "ms": units.milliseconds,
        "duration": units.duration, "plain": units.plain, "unbroken": units.unbroken}
    embedded = embedded_data(summary)
    return environment.from_string(_source("page.html")).render(
        summary,
        interval=units.interval,
        data=embedded,
        rows_left_out=len(summary["rows"]) - len(embedded["rows"]),
        answer_scale=_scale(summary["answers"]),
        pair_scale=_scale(summary["fair_pairs"]),
        seeds=_seeds(summary),
        listed_members=summary["members"][:MAX_MEMBERS_LISTED],
        style=Markup(_source("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        picture=base64.b64encode(picture).decode(),
    )


def embedded_data(summary: dict) -> dict[str, Any]:
    """What page.js draws: rows as lists under shared column names, numbers at six significant digits.

    Where the rows of all ensembles would make the page too large, the singles, the uniform ensembles and the Pareto
    fronts stay, and of the mixed ensembles those best on validation.
    """
    columns = list(dict.fromkeys(name for row in summary["rows"] for name in row))
    rows = []
    room = MAX_ROW_BYTES
    for row in sorted(summary["rows"], key=_importance):
        values = [_rounded(row.get(name)) for name in columns]
        room -= len(json.dumps(values))
        if room < 0:
            break
        rows.append(values)
    return {
        "columns": columns,
        "rows": rows,
        "combine": summary["combine"],
        "confidence": summary["confidence"],
        "architectures": architectures(main_rows(summary)),
        "reliability": _rounded(summary["reliability"]),
        "diversity": _rounded(summary["diversity"]),
        "memberArchitectures": {member["id"]: member["architecture"] for member in summary["members"]},
    }


def _importance(row: dict) -> tuple[bool, float]:
    front = row["pareto_macs"] or row["pareto_latency_parallel"] or row["pareto_train_macs"]
    return row["kind"] == "mixed" and not front, -(row["val_accuracy_mean"] or 0.0)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _scale(entries: list[dict]) -> float:
    """The largest gain or interval end of these answers or pairs, which their small drawings share as full width."""
    ends = [entry[key] for entry in entries for key in ("gain", "low", "high")]
    return max((abs(end) for end in ends if end is not None), default=0.0) or 0.01


def _seeds(summary: dict) -> dict[str, int]:
    return dict(sorted(Counter(member["architecture"] for member in summary["members"]).items()))


def _source(name: str) -> str:
    return files("consort.report").joinpath(name).read_text(encoding="utf-8")
