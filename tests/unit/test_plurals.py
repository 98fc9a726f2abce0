"""Counts with their nouns and verbs."""

import pytest

from consort.plurals import are, counted, have


@pytest.mark.parametrize("number, noun, text", [
    (0, "image", "0 images"), (1, "image", "1 image"), (2, "class", "2 classes"), (1, "class", "1 class"),
    (1197, "training image", "1,197 training images")])
def test_a_number_has_its_noun_in_singular_or_plural(number, noun, text):
    assert counted(number, noun) == text


def test_its_verb_agrees():
    assert [(are(n), have(n)) for n in (0, 1, 2)] == [("are", "have"), ("is", "has"), ("are", "have")]
