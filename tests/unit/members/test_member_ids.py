"""A member's id: the same for what trains the same, another for everything else."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.members.spec import MemberSpec
from consort.study.recipe import RECIPES, Recipe
from recipe_values import recipe_values, seeds

untimed = settings(deadline=None)
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
FAST = Recipe(**RECIPES["fast"])


def spec(architecture="wrn-16-1", data="0123456789ab", recipe=FAST, seed=3) -> MemberSpec:
    return MemberSpec(architecture, data, recipe, seed)


def test_ids_stay_what_they_are():
    # Members in people's stores are found by these: a change here makes every one of them train again.
    assert spec().id == "wrn-16-1-s3-f6b0de0c21"
    assert spec(recipe=Recipe()).id == "wrn-16-1-s3-c140ec70fc"


@untimed
@given(st.text(max_size=80), seeds)
def test_id_is_a_dns_label(architecture, seed):
    member_id = spec(architecture=architecture, seed=seed).id
    assert len(member_id) <= 48
    assert DNS_LABEL.fullmatch(member_id)


@untimed
@given(recipe_values, recipe_values)
def test_ids_are_equal_exactly_when_the_recipes_are(a, b):
    one, other = Recipe.model_validate(a), Recipe.model_validate(b)
    assert (spec(recipe=one).id == spec(recipe=other).id) == (one == other)


@pytest.mark.parametrize("field", sorted(set(Recipe.model_fields)))
def test_id_ignores_a_default_that_is_spelled_out_and_notices_every_other_value(field):
    other = {"schedule": "one-cycle", "milestones": [0.5], "flip": False, "precision": "float32", "weights": "sha",
             "transforms": "published",
             "input_size": 64, "crop_scale": 0.5}
    default = Recipe.model_fields[field].default
    assert spec(recipe=Recipe.model_validate({field: default})).id == spec(recipe=Recipe()).id
    without = {"ema": 0.5} if field == "ema_warmup" else {}  # which means nothing without an average
    changed = True if field == "ema_warmup" else other.get(field, 0.123 if isinstance(default, float) else 77)
    assert spec(recipe=Recipe(**without, **{field: changed})).id != spec(recipe=Recipe(**without)).id


def test_id_differs_with_architecture_data_and_seed():
    ids = {spec().id, spec(architecture="wrn-16-2").id, spec(architecture="WRN-16-1").id, spec(data="0" * 12).id,
           spec(seed=4).id}
    assert len(ids) == 5


@untimed
@given(recipe_values, seeds)
def test_specification_survives_json(recipe, seed):
    original = spec(recipe=Recipe.model_validate(recipe), seed=seed)
    assert MemberSpec.from_dict(json.loads(json.dumps(original.to_dict()))) == original
