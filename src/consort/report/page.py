"""report.html: one file that needs nothing else. The numbers are embedded as JSON, page.js draws them."""

import json
from collections import Counter
from typing import Any

from consort.answer.choices import Choices
from consort.answer.evidence import Evidence
from consort.answer.metric import NAMES
from consort.answer.offline import offline
from consort.report.document import document, gain_scale, rounded
from consort.report.select import architectures, main_rows
from consort.report.training_lines import training_lines

# The page stays under 2 MB: this much for rows, which leaves room for the picture, the pairs and the members.
MAX_ROW_BYTES = 1_200_000
MAX_MEMBERS_LISTED = 300
FRONTS = ("pareto_macs", "pareto_latency_parallel", "pareto_latency_serial", "pareto_train_macs")


def page_html(summary: dict, picture: bytes, answered: tuple[Choices, Evidence] | None = None) -> str:
    """The whole page, with a PNG for readers without JavaScript. What came from the summary is escaped.

    answered: what a reader's budgets are answered from; None of a run that was evaluated before there were choices.
    """
    metric = summary.get("metric", "accuracy")  # which there was before there were others
    embedded = embedded_data(summary) | {"offline": answered and offline(*answered)}
    return document("page.html", ("chart.js", "table.js", "page.js", "budget.js"), embedded, picture, {
        **summary,
        "metric": metric,
        "metric_name": NAMES[metric],
        "can_be_moved": embedded["offline"] is not None,
        "confidences": answered and answered[0].confidences,
        "rows_left_out": len(summary["rows"]) - len(embedded["rows"]),
        "answer_scale": gain_scale(summary["answers"]),
        "pair_scale": gain_scale(summary["fair_pairs"]),
        "seeds": _seeds(summary),
        "listed_members": summary["members"][:MAX_MEMBERS_LISTED],
        "training_lines": training_lines(summary["members"][:MAX_MEMBERS_LISTED]),
    })


def embedded_data(summary: dict) -> dict[str, Any]:
    """What page.js draws: rows as lists under shared column names, numbers at six significant digits.

    Where the rows of all ensembles would make the page too large, the singles, the uniform ensembles and the Pareto
    fronts stay, and of the mixed ensembles those best on validation.
    """
    columns = list(dict.fromkeys(name for row in summary["rows"] for name in row))
    rows = []
    room = MAX_ROW_BYTES
    for row in sorted(summary["rows"], key=_importance):
        values = [rounded(row.get(name)) for name in columns]
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
        "reliability": rounded(summary["reliability"]),
        "diversity": rounded(summary["diversity"]),
        "memberArchitectures": {member["id"]: member["architecture"] for member in summary["members"]},
    }


def _importance(row: dict) -> tuple[bool, float]:
    front = any(row.get(name) for name in FRONTS)
    return row["kind"] == "mixed" and not front, -(row["val_accuracy_mean"] or 0.0)


def _seeds(summary: dict) -> dict[str, int]:
    return dict(sorted(Counter(member["architecture"] for member in summary["members"]).items()))
