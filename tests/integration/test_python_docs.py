"""docs/python.md: what its examples say is what happens, and nothing is printed that was not asked for."""

import re
from pathlib import Path

import pytest

import consort

PAGE = Path(__file__).parents[2] / "docs/python.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)


def test_the_examples_run_one_after_the_other_as_cells_of_a_notebook(
        tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    printed = []
    for number, example in enumerate(EXAMPLES, 1):
        exec(compile(example, f"example {number} of {PAGE.name}", "exec"), names)
        printed.append(capfd.readouterr())
    assert len(EXAMPLES) > 5 and {out.err for out in printed} == {""}

    results, choice = names["results"], names["choice"]
    assert printed[0].out == results.choose({"macs": "100M"}).text + "\n" and printed[1].out == ""
    assert printed[2].out.count(" done\n") == 3
    assert [str(row) for row in results.rows] == [str(row) for row in results.table.to_pylist()] != []
    assert {row["ensemble"] for row in results.rows} >= {"1 x wrn-10-1", "2 x wrn-10-1", "1 x wrn-10-2"}
    assert results.answer == results.choices.headline.text and results.missing == {}
    candidate = results.candidate(choice)
    assert candidate.costs.params <= 10e6 and set(candidate.members) <= set(names["run"].ids)
    assert names["page"] == Path("report/report.html") and "<html" in names["page"].read_text()
    assert "nothing fits" in printed[-1].out
    with pytest.raises(consort.InputError, match=r'such as \{"macs": "100M", "ms": 5\}, got \'100M\''):
        results.choose("100M")

    (tmp_path / "changed.toml").write_text(names["study"].to_toml().replace('"first"', '"second"'))
    again = consort.execute(consort.plan("changed.toml", store="my-store"))  # its members are there
    assert again.summary["rows"] == results.summary["rows"] and capfd.readouterr() == ("", "")
