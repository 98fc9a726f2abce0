"""The preprocessing that a member's weights come with."""

from dataclasses import replace
from importlib import import_module

from consort.data.preprocessing import AS_PREPARED, Preprocessing
from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.models.families import check_name

PUBLISHED = "published"
"""Recipe.transforms: those of the weights' name; of a file, those of the network's first weights."""

SCALED = "scaled"
"""Recipe.transforms: resized and cropped as for members that are trained, with the values that the network wants."""


def preprocessing_of(spec: MemberSpec) -> Preprocessing | None:
    """How the member's images are prepared; None where it is as for members that are trained here.

    Raises InputError where the network or its weights say nothing of it.
    """
    recipe, name = spec.recipe, spec.architecture
    if recipe.transforms is None:
        return None
    check_name(name)
    named = recipe.weights.removeprefix("torchvision:") if recipe.weights and ":" in recipe.weights else None
    if name.startswith("timm:"):
        family = import_module("consort.models.timm_models")
    else:
        family = import_module("consort.models.torchvision_models")
        if not family.answers_to(name):
            if named is not None:
                raise InputError(f"{name} has no published weights, got weights = {named!r}. Name a .safetensors file, "
                                 "or leave weights out to train it.")
            raise InputError(f'{name} has no published weights, whose images could be prepared in a way of their own. '
                             'Leave out transforms, or set transforms = "data".')
    of_its_own = recipe.transforms in (PUBLISHED, SCALED)
    found = family.preprocessing(name, named if of_its_own else recipe.transforms)
    if recipe.transforms == SCALED:
        found = replace(found, fit=AS_PREPARED)
    return found.at(recipe.input_size) if recipe.input_size else found
