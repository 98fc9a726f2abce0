"""Objects as YAML that people read and kubectl applies: thousands of them in a second.

10,000 members' jobs take 0.65 s of processor time; libyaml's dumper takes 10.7 s, PyYAML without it 54 s. And PyYAML
leaves a text such as 0123456789, which a spec hash may be, without quotes: kubectl takes that for a number and refuses
the object.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from consort.kube import names

_PLAIN = re.compile(r"(--)?[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*", re.ASCII)
_OTHER_THINGS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""Words that some version of YAML reads as something else than text. So do numbers, none of which starts as _PLAIN."""


def to_yaml(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One document per object, each led by its separator: joined, they are a file.

    Members' jobs differ in little more than the member: what the last one was written as is used again.
    """
    last_shape, last_text = "", ""
    for value in objects:
        own = _own_texts(value)
        shape = json.dumps(value)
        for token, text in own.items():
            shape = shape.replace(text, token)
        if shape != last_shape:
            last_shape, last_text = shape, "".join(_mapping(json.loads(shape), ""))
        document = last_text
        for token, text in own.items():
            document = document.replace(token, text)
        yield f"---\n{document}"


def _own_texts(value: Mapping[str, Any]) -> dict[str, str]:
    """Placeholder -> text for what only this member's job has. An escaped control character stands in neither JSON nor
    YAML otherwise, and puts the placeholder into quotes, so that any name may take its place."""
    labels = value["metadata"].get("labels", {})
    if names.MEMBER_LABEL not in labels:
        return {}
    texts = [value["metadata"]["name"], labels[names.MEMBER_LABEL], labels.get(names.SPEC_HASH_LABEL, "")]
    return {f"\\u0001{i}\\u0001": text for i, text in enumerate(dict.fromkeys(filter(None, texts)))}


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
