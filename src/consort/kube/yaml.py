"""Objects as YAML that people read and kubectl applies.

Not PyYAML: it leaves a text such as 0123456789, which a spec hash may be, without quotes, and kubectl takes that for a
number and refuses the object. Nor is it quick enough for 10,000 members' jobs: 4.4 s of processor time with libyaml's
dumper and 21 s without, where this takes 1.5 s.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

_PLAIN = re.compile(r"(--)?[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*", re.ASCII)
_OTHER_THINGS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""Words that some version of YAML reads as something else than text. So do numbers, none of which starts as _PLAIN."""


def to_yaml(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One document per object, each led by its separator: joined, they are a file."""
    for value in objects:
        yield "---\n" + "".join(_mapping(value, ""))


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, inner in value.items():
        yield from _entry(f"{indent}{_text(key)}:", inner, indent)


def _sequence(value: Iterable[Any], indent: str) -> Iterator[str]:
    for inner in value:
        if isinstance(inner, Mapping) and inner:
            first, *rest = _mapping(inner, indent + "  ")
            yield f"{indent}- {first[len(indent) + 2:]}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", inner, indent + "  ")


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """What follows a key or a dash; sequences stand below their key without further indentation, as kubectl's do."""
    if isinstance(value, Mapping) and value:
        yield f"{head}\n"
        yield from _mapping(value, indent + "  ")
    elif isinstance(value, list | tuple) and value:
        yield f"{head}\n"
        yield from _sequence(value, indent)
    else:
        yield f"{head} {_text(value) if isinstance(value, str) else json.dumps(value)}\n"


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _OTHER_THINGS:
        return value
    # JSON's texts are YAML's, but for a few characters that YAML wants escaped and JSON does not.
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}",
                  json.dumps(value, ensure_ascii=False))
