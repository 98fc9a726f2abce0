"""Named recipes."""

import pytest

from consort.errors import InputError
from consort.study.recipe import RECIPES, Recipe, named_recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_named_recipes_are_valid_and_say_only_what_differs(name):
    recipe = Recipe(**named_recipe(name))
    assert recipe.identity() == RECIPES[name]


def test_changing_a_named_recipe_leaves_the_original():
    named_recipe("fast")["epochs"] = 1
    assert RECIPES["fast"]["epochs"] == 10


def test_unknown_recipe_lists_near_ones():
    with pytest.raises(InputError, match="did you mean efficientnet"):
        named_recipe("efficient-net")


def test_defaults_stay_what_they_are():
    # A member's id is made of what differs from these: a changed default would give old ids a new meaning.
    assert Recipe().model_dump() == {
        "epochs": 200, "batch_size": 128, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4,
        "schedule": "step", "warmup": 0.25, "milestones": (0.3, 0.6, 0.8), "decay": 0.2, "label_smoothing": 0.0,
        "ema": 0.0, "crop_padding": 4, "flip": True, "cutout": 0, "precision": "auto", "input_size": None,
        "crop_scale": 0.08, "weights": None}
