"""[answer] of a study file."""

import pytest

from consort.errors import InputError
from consort.study.answer import Answer, amount
from consort.study.file import Study, parse_study, stored_study

BASE = 'name = "owls"\ndata = { source = "owls.zip" }\narchitectures = { "wrn-10-1" = 2 }\n'


def study(table: str) -> Study:
    return parse_study(f"{BASE}[answer]\n{table}\n", "owls.toml")


def test_without_the_table_the_defaults_hold():
    assert parse_study(BASE, "owls.toml").answer == Answer() == study("").answer
    assert (Answer().budgets, Answer().margin, Answer().cascade_loss) == ((), None, 0.002)


def test_bounds_are_amounts_with_short_names():
    table = study('budgets = [{ macs = "100M", ms = 5 }, { mb = 20, params = 1_000_000 }, { serial_worst_ms = 7.5 }, '
                  "{}]\nmargin = 0.005\ncascade_loss = 0.01").answer
    assert table.budgets == ({"macs": 1e8, "serial_ms": 5.0}, {"bytes": 2e7, "params": 1e6}, {"serial_worst_ms": 7.5},
                             {})
    assert (table.margin, table.cascade_loss) == (0.005, 0.01)


def test_a_metric_is_written_down_only_where_it_is_another_than_before():
    """Names of runs are hashes over what is written."""
    assert "metric" not in study('margin = 0.01\nmetric = "accuracy"').answer.model_dump(mode="json")
    by_nll = study('metric = "nll"')
    assert by_nll.answer.model_dump(mode="json")["metric"] == "nll" and by_nll.answer != Answer()
    assert stored_study(by_nll.model_dump(mode="json")) == by_nll == parse_study(by_nll.to_toml(), "owls.toml")


def test_it_survives_the_store():
    made = study('budgets = [{ macs = "100M", mb = 20 }]')
    assert stored_study(made.model_dump(mode="json")) == made


@pytest.mark.parametrize("table,words", [
    ("budgets = [{ seconds = 5 }]", "a budget bounds ms, mb, macs"), ('budgets = [{ macs = "lots" }]', "an amount is"),
    ("budgets = [{ macs = 0 }]", "a bound is a number above 0"), ("budgets = [{ macs = true }]", "a bound is a number"),
    ("budgets = 5", "budgets is a list of tables"), ("margin = 0", "greater than 0"), ("loss = 1", "'loss'"),
    ('metric = "f1"', "'accuracy', 'balanced_accuracy' or 'nll'")])
def test_what_is_no_answer_table_is_named(table, words):
    with pytest.raises(InputError, match="answer") as refused:
        study(table)
    assert words in str(refused.value)


@pytest.mark.parametrize("text,value", [("100M", 1e8), ("1.5G", 1.5e9), ("250k", 250e3), ("4000", 4000),
                                        (" 2 T ", 2e12)])
def test_amounts(text, value):
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "M", "-5", "0", "0k", "1e400", "5 ms", "1,000", "١٢", "9" * 400])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="an amount is a number above 0"):
        amount(text)
