"""Reads a trial's metrics file as Katib's File collector does in the format JSON.

Katib 0.19, docs and pkg/metricscollector/v1beta1/file-metricscollector: every line that is not empty is a JSON object,
or the whole file is refused; a metric counts where its value is a string, and is dropped without a word where it is a
number; `timestamp` is RFC 3339. Without the objective the trial has no metrics.
"""

import json
from collections.abc import Sequence
from datetime import datetime


def collected(text: str, metrics: Sequence[str]) -> dict[str, list[tuple[datetime | None, str]]]:
    """Metric -> its values with their times, in the file's order; empty where the first one, the objective, is not
    there. Raises ValueError or TypeError for a line that is no JSON object."""
    found: dict[str, list[tuple[datetime | None, str]]] = {}
    for line in filter(None, text.split("\n")):
        values = json.loads(line)
        if not isinstance(values, dict):
            raise TypeError(f"no JSON object: {line!r}")
        moment = values.get("timestamp")
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else None
        for metric in metrics:
            if isinstance(values.get(metric), str):
                found.setdefault(metric, []).append((at, values[metric]))
    return found if metrics[0] in found else {}
