"""The programs of a bundle import one another and what is installed, never Consort."""

import ast
from importlib.resources import files

import pytest

from consort.export.serve_files import PROGRAMS, standing_alone

MODULES = {name.removesuffix(".py"): package for name, package in PROGRAMS.items() if name.endswith(".py")}


@pytest.mark.parametrize(("name", "package"), MODULES.items())
def test_a_program_finds_what_it_imports_beside_it(name: str, package: str) -> None:
    source = files(package).joinpath(f"{name}.py").read_text()
    before, after = imported(source), imported(standing_alone(source))
    own = {module for module in before if module.split(".")[0] == "consort"}
    assert not {module for module in after if module.split(".")[0] == "consort"}
    assert {module.rpartition(".")[2] for module in own} <= after & MODULES.keys()


def imported(source: str) -> set[str]:
    """The modules that a program imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found
