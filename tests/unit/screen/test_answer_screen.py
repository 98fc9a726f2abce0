"""What a person reads of an answer: the headline, and under it what is to be known before believing it."""

import dataclasses
import io

import pytest
from rich.console import Console

from budget_worlds import world
from consort.answer import stored
from consort.answer.choices import Candidate, Choices
from consort.answer.decision import choices
from consort.report.page import page_html
from consort.screen.answer import _table, print_answer, print_choice
from consort.store.folder import FolderStore
from hand_candidates import about, candidate, costs, evidence, right
from report_summary import SUMMARY

SMALL = candidate(0, "1 x a", 0.80, 0.79, costs(10e6))
TWO = candidate(1, "2 x a", 0.70, 0.71, costs(20e6))
LARGE = candidate(1, "1 x b", 0.70, 0.71, costs(40e6))
CLASSES = [str(i) for i in range(10)]


def answered(candidates: list[Candidate], val_images: int = 500, improving: tuple[str, ...] = (),
             majority: float = 0.1) -> Choices:
    seen = evidence([right(val_images, one.val.value) for one in candidates],
                    [right(1000, one.test.value) for one in candidates], majority)
    of_run = dataclasses.replace(about(classes=CLASSES, majority=majority), improving=improving)
    return choices(of_run, candidates, seen)


def printed(found: Choices) -> list[str]:
    out = io.StringIO()
    print_choice(Console(file=out, width=500), found, found.headline, found.notes)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("columns", [60, 70])
def test_a_narrow_terminal_cuts_nothing_off_what_to_deploy(columns):
    out = io.StringIO()
    Console(file=out, width=columns).print(_table(answered([SMALL, LARGE])))
    assert "\u2026" not in out.getvalue()


@pytest.mark.parametrize("ms,shown", [(0.3, "0.300"), (123.4, "123"), (1234.0, "1,234")])
def test_milliseconds_have_three_digits_and_whole_ones_no_point(ms, shown):
    out = io.StringIO()
    Console(file=out, width=100).print(_table(answered([candidate(0, "1 x a", 0.8, 0.79, costs(10e6, ms=ms))])))
    assert f" {shown} " in out.getvalue()


@pytest.mark.parametrize("found,sign", [
    (answered([SMALL], improving=("a",)), "a was still improving when training ended: it may be undertrained."),
    (answered([SMALL, LARGE]), "b is below the smaller a on validation (70.0 against 80.0 %): it may be undertrained. "
                               "Train it longer before concluding that large networks lose."),
    (answered([candidate(0, "1 x a", 0.11, 0.10)], majority=0.05),
     "This is chance level: guessing among 10 classes gives 10.0 %."),
    (answered([SMALL], majority=0.85), 'Not better than always answering "0": that alone has 85.0 % on test.'),
    (answered([SMALL, TWO], val_images=150), "Chosen on 150 validation images only: another 150 could choose another "
                                             "candidate. 200 or more settle more.")],
    ids=["rising", "smaller", "chance", "majority", "few"])
def test_a_sign_that_an_answer_is_not_to_be_believed_stands_in_the_line_under_it(found, sign):
    assert found.notes == (sign,)
    assert printed(found)[:2] == [found.headline.text, sign]
    page = page_html(SUMMARY | {"answer": found.headline.text, "notes": [sign]}, b"PNG")
    answer, note = page.index('<p class="answer">'), page.index('<p class="note">')
    assert 0 < note - page.index("</p>", answer) < 10


def test_an_answer_without_such_a_sign_has_no_such_line():
    assert printed(answered([SMALL, TWO]))[1].startswith("Of all that fits it is the most accurate")


def test_one_network_alone_is_not_said_to_have_been_chosen():
    found = answered([SMALL], val_images=150)
    assert (found.notes, printed(found)[1]) == (
        (), "It is the only network of the run: another seed or architecture would give a choice.")


@pytest.mark.parametrize("metric,value,gain", [
    ("accuracy", "test\naccuracy %", "difference, points"),
    ("balanced_accuracy", "test\nbalanced\naccuracy %", "difference, points"), ("nll", "test NLL", "gain, nats")])
def test_the_table_has_the_values_of_the_metric(tmp_path, metric, value, gain):
    found, seen = world(1, metric=metric)
    store, out = FolderStore(tmp_path), io.StringIO()
    stored.write(store, found, seen)
    print_answer(Console(file=out, width=200), {"study": found.study, "run": found.run}, store)
    words = value.split("\n")
    depth = max(2, len(words))
    _, *heads, first = out.getvalue().splitlines()[:depth + 2]
    assert all(f" {word} " in line for word, line in zip(words[::-1], heads[::-1], strict=False))
    assert f" {gain} " in heads[-2]
    best, over = found.candidate(found.headline.candidate).test.value, found.headline.gain
    assert over is not None
    texts = (f"{best:.3f}", f"{over.value:+.3f} ") if metric == "nll" else (
        f"{100 * best:.2f}", f"{100 * over.value:+.2f} ")
    assert all(f" {text}" in first for text in texts)
