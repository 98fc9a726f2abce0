"""What is wrong with a study file, in words that name the key, the rule and the value."""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from consort.errors import InputError, near_names, unknown_name
from consort.study.recipe import Recipe

INSTEAD = {
    "pretrained": 'existing weights are imported with `weights`, such as "resnet18" = { weights = "IMAGENET1K_V1" } '
                  'or a .safetensors file, in [architectures]',
    "lr": "it is `learning_rate`, in [recipe]",
    "models": "the networks are the keys of [architectures]",
    "num_workers": "it is `workers` (members side by side) or `loader_workers` (processes that decode), in [run]",
    "device": "a GPU is used where there is one; CUDA_VISIBLE_DEVICES chooses",
    "augment": "it is `flip`, `crop_padding` and `cutout`, in [recipe]",
}
"""Keys of other tools, and what they are here."""

RULES = {
    "tuple_type": "it should be a list, such as [1, 2]",
    "list_type": "it should be a list, such as [1, 2]",
    "dict_type": "it should be a table, such as { epochs = 30 }",
    "model_type": "it should be a table",
    "bool_type": "it should be true or false",
    "int_type": "it should be a whole number",
    "int_from_float": "it should be a whole number",
    "float_type": "it should be a number",
    "string_type": "it should be a string in quotes",
    "string_pattern_mismatch": "it should be 1 to 40 lower-case letters, digits and, between them, hyphens",
}
"""Kinds of errors of pydantic, in the words of a study file. The one pattern in it is that of names."""


def explain(error: Any, root: type[BaseModel]) -> str:
    """One of a ValidationError's errors, of a study file whose tables are those of `root`."""
    loc = [str(part) for part in error["loc"]]
    key = f"[{loc[0]}] {'.'.join(loc[1:])}" if len(loc) > 1 else loc[0] if loc else "the study"
    if error["type"] == "extra_forbidden":
        return _unknown_key(loc, root)
    if error["type"] == "missing":
        return f"{key} is missing."
    message = RULES.get(error["type"], error["msg"]).removeprefix("Value error, ")
    if error["type"] == "model_type" and len(loc) == 2 and loc[0] == "architectures":
        message = "it should be a whole number of seeds, a list of them, or a table"
    value = error.get("input")
    shown = f" (got {value!r})" if isinstance(value, str | int | float | bool) else ""
    if error["type"] == "literal_error" and isinstance(value, str):
        near = near_names(value, re.findall(r"'([^']+)'", error["ctx"]["expected"]))
        shown = f" (got {value!r}; did you mean {near[0]}?)" if near else shown
    end = "" if message[-1] in ".?" and not shown else "."
    return f"{key}: {message[0].lower()}{message[1:]}{shown}{end}"


def explained_at(place: tuple[str, ...], error: ValidationError, root: type[BaseModel]) -> InputError:
    """What is wrong with values that stand at this place of the study file."""
    return InputError("\n".join(explain({**one, "loc": (*place, *one["loc"])}, root) for one in error.errors()))


def _unknown_key(loc: list[str], root: type[BaseModel]) -> str:
    """An unknown key: a near spelling, what stands for it here, the table that has it, or the keys that there are."""
    name, table = loc[-1], ".".join(loc[:-1])
    known = keys_of(loc[:-1], root)
    where = f"(in [{table}])" if table else "(top level)"
    if not near_names(name, known):
        elsewhere = [other for other in _tables(root, "") if name in other[1]]
        instead = INSTEAD.get(name) or (f"it stands in [{elsewhere[0][0]}]" if elsewhere and elsewhere[0][0] else None)
        if instead:
            return f"unknown key '{name}' {where}: {instead}."
    return str(unknown_name("key", name, known, where))


def keys_of(loc: list[str], root: type[BaseModel]) -> set[str]:
    """The keys that a table of the study file may have."""
    found: Any = root
    for number, part in enumerate(loc):
        if (part == "recipe" and number > 0) or loc[:number + 1] == ["recipe"]:
            found = Recipe  # written as a table of its own or in an architecture's, and read as a plain one there
        elif isinstance(found, type) and issubclass(found, BaseModel):
            found = next((f.annotation for n, f in found.model_fields.items() if (f.alias or n) == part), None)
            found = _alone(found)
        else:
            found = _inner(found)
    model = _model(found)
    assert model is not None
    return _keys(model) | ({"name"} if loc == ["recipe"] else set())


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _tables(model: type[BaseModel], path: str) -> Iterator[tuple[str, set[str]]]:
    """Every table below this one that has a fixed place: (dotted path, keys)."""
    for name, field in model.model_fields.items():
        inner = _model(field.annotation)
        if inner is not None and get_origin(field.annotation) not in (dict, tuple):
            place = f"{path}.{field.alias or name}".lstrip(".")
            yield place, _keys(inner)
            yield from _tables(inner, place)


def _alone(annotation: Any) -> Any:
    """The table of a key that may be left out; anything else as it is."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return parts[0] if get_origin(annotation) in (Union, types.UnionType) and len(parts) == 1 else annotation


def _inner(annotation: Any) -> Any:
    """What a dictionary or a list of tables holds."""
    return next((a for a in get_args(annotation) if _model(a) is not None), None)


def _model(annotation: Any) -> type[BaseModel] | None:
    """The table that an annotation is about: itself, or inside an option, a dictionary or a list."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (Union, types.UnionType, Annotated, dict, tuple):
        return next((m for a in get_args(annotation) if (m := _model(a)) is not None), None)
    return None
