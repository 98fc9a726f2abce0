"""Which rows of the summary a reader sees where. Shared by the page, the table and the picture, so that they agree."""

from collections.abc import Iterable

MAIN_TEST_SET = "test"


def architecture_of(label: str) -> str:
    """`3 x wrn-16-1` -> `wrn-16-1`; for labels of singles and uniform ensembles."""
    return label.split(" x ", 1)[-1]


def main_rows(summary: dict) -> list[dict]:
    """The rows of the first combine method on the data's own test split, by cost."""
    rows = [row for row in summary["rows"]
            if row["test_set"] == MAIN_TEST_SET and row["combine"] == summary["combine"]]
    return sorted(rows, key=lambda row: (row["macs"], row["num_members"], row["ensemble"]))


def architectures(rows: Iterable[dict]) -> list[str]:
    """Every architecture, the cheapest first: their order decides colour and marker in all plots."""
    macs = {architecture_of(row["ensemble"]): row["macs"] for row in rows if row["kind"] == "single"}
    return sorted(macs, key=lambda name: (macs[name], name))


def lines(rows: Iterable[dict]) -> dict[str, list[dict]]:
    """Architecture -> its single and uniform ensembles, by number of members: one line of the paper's plot."""
    rows = list(rows)
    result: dict[str, list[dict]] = {name: [] for name in architectures(rows)}
    for row in rows:
        if row["kind"] != "mixed":
            result.setdefault(architecture_of(row["ensemble"]), []).append(row)
    return {name: sorted(line, key=lambda row: row["num_members"]) for name, line in result.items()}
