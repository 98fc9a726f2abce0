"""Named recipes."""

import pytest

from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.study.file import Study, parse_study, stored_study
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
        "ema": 0.0, "ema_warmup": False, "crop_padding": 4, "flip": True, "cutout": 0, "precision": "auto",
        "input_size": None, "crop_scale": 0.08, "weights": None, "transforms": None}


# Averages are warmed up since a short training with a slow one ended as it began.

TEXT = """
name = "tiny"
data = {{ source = "digits" }}
recipe = {recipe}
[architectures]
"wrn-10-1" = 1
"wrn-10-2" = {{ seeds = 1, recipe = {{ ema = 0.99 }} }}
"""


def ids(study: Study) -> list[str]:
    return [MemberSpec(name, "0123456789ab", study.recipe_of(name), 0).id for name in study.architectures]


@pytest.mark.parametrize(("recipe", "warmed"), [
    ("{ epochs = 2 }", [False, True]), ("{ ema = 0.9 }", [True, True]), ('{ name = "efficientnet" }', [True, True]),
    ("{ ema = 0.9, ema_warmup = false }", [False, True]), ('{ name = "efficientnet", ema = 0 }', [False, True]),
    ("{ ema = 0, ema_warmup = true }", [False, True])])
def test_an_average_of_a_study_file_is_warmed_up_unless_it_says_otherwise(recipe: str, warmed: list[bool]) -> None:
    study = parse_study(TEXT.format(recipe=recipe), "study.toml")
    assert [study.recipe_of(name).ema_warmup for name in study.architectures] == warmed
    assert ids(stored_study(study.model_dump(mode="json"))) == ids(study)


def test_members_from_before_averages_were_warmed_up_keep_their_ids() -> None:
    study = parse_study(TEXT.format(recipe="{ epochs = 2, milestones = [0.5], ema = 0.999 }"), "study.toml")
    stored = study.model_dump(mode="json")
    for recipe in (stored["recipe"], *(a["recipe"] for a in stored["architectures"].values())):
        recipe.pop("ema_warmup", None)
    assert ids(stored_study(stored)) == ["wrn-10-1-s0-0927809f13", "wrn-10-2-s0-d85e3827a4"]
    assert not set(ids(study)) & set(ids(stored_study(stored)))


def test_a_search_tries_with_averages_that_are_warmed_up() -> None:
    study = parse_study('''
name = "s"
data = { source = "digits" }
[search]
recipe = { ema = 0.9 }
objective = { target_latency_ms = 1.0 }
space = { block = ["wide"], width = [8, 16], depth = [1] }
''', "study.toml")
    assert study.search is not None and study.search.trial_recipe(study.recipe).ema_warmup
    assert not study.recipe.ema_warmup
