"""What docs say of keys, defaults, commands and options is what there is."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from consort.cli.app import app
from consort.study.answer import Answer
from consort.study.data import Data
from consort.study.evaluation import Evaluate, Latency
from consort.study.execution import Cluster, Grow, RunSettings, Volume
from consort.study.file import Architecture, Study
from consort.study.recipe import Recipe
from consort.study.search import Search, SearchObjective, SpaceSettings

ROOT = Path(__file__).parents[2]
TABLES: dict[str, type[BaseModel]] = {
    "Top level": Study, "`[data]`": Data, "`[recipe]`": Recipe, "`[architectures]`": Architecture,
    "`[evaluate]`": Evaluate, "`[answer]`": Answer, "`[latency]`": Latency, "`[run]`": RunSettings,
    "`[cluster]`": Cluster, "`[cluster.data]`": Volume, "`[grow]`": Grow, "`[search]`": Search,
    "`[search.objective]`": SearchObjective, "`[search.space]`": SpaceSettings}
NOT_IN_FILES = {"[recipe]": {"weights", "transforms"}}
"""Fields that `[architectures]` sets."""
IN_WORDS = {"combine", "kinds", "seeds", "ema_warmup"}
"""Keys whose default is told in another way than as a value."""


def section(title: str) -> str:
    """The part of docs/study.md below a heading, up to the next one of any level."""
    text = (ROOT / "docs/study.md").read_text()
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#)", text + "\n#", re.M | re.S)
    assert found, f"docs/study.md has no section {title}"
    return found[1]


def rows(title: str) -> dict[str, str]:
    """Key -> what stands under "Type, default"."""
    found = {}
    for line in section(title).partition("| Key |")[2].splitlines()[2:]:
        if not line.startswith("|"):
            break
        keys, kind = re.split(r"(?<!\\)\|", line)[1:3]
        found |= {key.strip("[]").rpartition(".")[2]: kind.strip() for key in re.findall(r"`([^`]+)`", keys)}
    return found


@pytest.mark.parametrize("title", TABLES)
def test_every_key_of_a_table_is_documented_and_no_other(title):
    fields = {field.alias or name for name, field in TABLES[title].model_fields.items()}
    fields -= NOT_IN_FILES.get(title.strip("`"), set())
    documented, text = set(rows(title)), (ROOT / "docs/study.md").read_text()
    assert documented <= fields
    in_words = {key for key in fields - documented
                if f"`{key} = " in section(title) or f"{title.strip('`]')}.{key}]`" in text}
    assert fields - documented - in_words == set()


@pytest.mark.parametrize("title", [title for title in TABLES if title != "Top level"])
def test_defaults_are_those_that_are_documented(title):
    fields = {field.alias or name: field for name, field in TABLES[title].model_fields.items()}
    for key, kind in rows(title).items():
        value = re.search(r", `([^`]*)`$", kind)
        if not fields[key].is_required() and fields[key].default is not None and key not in IN_WORDS \
                and fields[key].default_factory is None and not isinstance(fields[key].default, BaseModel | tuple):
            assert value, f"{key}: {kind}"
            assert toml(value[1]) == fields[key].default, key
        elif fields[key].is_required():
            assert kind.endswith("required"), f"{key}: {kind}"


def toml(value: str) -> object:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of typer, by the words that call it."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from commands(inner, f"{name} {word}".strip())
    else:
        yield name, command


COMMANDS = dict(commands(typer.main.get_command(app)))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def calls(file: Path) -> Iterator[str]:
    """What calls Consort in a document: lines of code, and code in a sentence."""
    text = file.read_text()
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S):
        yield from re.findall(r"^(?:\S+=\S+ )*consort ([^\n|&]+)", block, re.M)
    yield from (found.replace("\n", " ") for found in
                re.findall(r"(?<!`)`consort ([^`|]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))


def faults(call: str) -> list[str]:
    """What is wrong with `consort <call>`: no such command or option."""
    words = [word for word in shlex.split(call, comments=True) if word != "..."]
    while words and words[0] in ("--debug", "--version", "--help"):
        words = words[1:]
    named = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in COMMANDS), None)
    if named is None:
        group = not words or words[0] == "COMMAND" or any(name.startswith(words[0] + " ") for name in COMMANDS)
        return [] if group else [f"no command {words[0]}"]
    known = {name for parameter in COMMANDS[named].params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [f"{named} has no {option}" for option in options if option not in known | {"--help"}]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_in_documents_exist(file):
    assert {call: wrong for call in calls(file) if (wrong := faults(call))} == {}


def test_every_command_has_an_example():
    found = " ".join(f"consort {call} " for call in calls(ROOT / "docs/commands.md"))
    assert [name for name in COMMANDS if f"consort {name} " not in found] == []


def test_every_option_is_named_in_the_docs():
    text = " ".join(file.read_text() for file in DOCUMENTS)
    options = {(name, *(word for word in parameter.opts if word.startswith("--"))) for name, command in COMMANDS.items()
               for parameter in command.params if not getattr(parameter, "hidden", False)}
    assert [(name, *words) for name, *words in options if words and not any(word in text for word in words)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_says_what_it_is(name):
    assert [one.opts for one in COMMANDS[name].params if not (one.help or getattr(one, "hidden", False))] == []


def test_what_is_wrong_in_a_document_is_found():
    assert faults("answer RUN --budget 5") == ["answer has no --budget"]
    assert faults("deploy RUN") == ["no command deploy"]
    assert faults("members list --json   # all --of them") == [] == faults("data")
