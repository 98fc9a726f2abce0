"""Settings of samplers: numbers, which Katib passes as text."""

from collections.abc import Mapping
from dataclasses import dataclass

from consort.errors import InputError, unknown_name


@dataclass(frozen=True)
class Setting:
    """A number of a sampler, its default and its range."""

    default: float
    low: float
    high: float
    whole: bool = True

    @property
    def rule(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"


Settings = Mapping[str, Setting]


def read(sampler: str, declared: Settings, given: Mapping[str, float | int | str]) -> dict[str, float]:
    """Every declared setting with its given value or its default. Raises InputError for what is unknown or no such
    number."""
    for name in given:
        if name not in declared:
            raise unknown_name(f"setting of the sampler {sampler}", name, declared)
    return {name: _number(sampler, name, setting, given[name]) if name in given else setting.default
            for name, setting in declared.items()}


def _number(sampler: str, name: str, setting: Setting, value: float | int | str) -> float:
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = float("nan")
    whole = not setting.whole or number.is_integer()
    if isinstance(value, bool) or not (setting.low <= number <= setting.high and whole):
        raise InputError(f"sampler {sampler}: {name} is {setting.rule}, got {value!r}.")
    return number
