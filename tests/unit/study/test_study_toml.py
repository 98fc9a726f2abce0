"""A study as a file again."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.documents import to_toml
from consort.errors import InputError
from consort.study.file import Study, load_study, parse_study

FILES = sorted((Path(__file__).parents[3] / "studies").glob("*.toml"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.booleans() | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6)


@given(st.dictionaries(st.sampled_from(["a", "b-c", "d_1"]), VALUES))
def test_values_are_read_as_they_were_written(values: dict[str, Any]):
    read = tomllib.loads(to_toml(values))
    assert read == {name: value for name, value in values.items() if value != {}}


def test_toml_has_no_null():
    with pytest.raises(InputError, match="no null"):
        to_toml({"a": {"b": None}})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_of_this_repository_reads_as_itself(file: Path):
    study = load_study(file)
    assert parse_study(study.to_toml(), "again") == study


def test_what_a_file_means_is_written_out():
    study = Study.of({
        "name": "a", "question": 'which "one"?\n',
        "data": {"source": "photos", "also": [{"name": "fog", "source": "fog"}]},
        "recipe": {"name": "fast", "ema": 0.99}, "run": {"workers": 2}, "grow": {"seeds": 2, "until_width": 0.01},
        "architectures": {"wrn-10-1": 3, "timm:x y": {"recipe": {"ema": 0.9}},
                          "resnet18": {"weights": "IMAGENET1K_V1"}}})
    again = parse_study(study.to_toml(), "again")
    assert again == study
    assert again.recipe.ema_warmup and again.recipe_of("timm:x y").ema_warmup
    plain = Study.of({"name": "a", "data": {"source": "photos"}, "architectures": {"wrn-10-1": 1},
                      "recipe": {"ema": 0.99, "ema_warmup": False}})
    assert parse_study(plain.to_toml(), "again") == plain
