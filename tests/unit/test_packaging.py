"""What the package says of itself: what it needs, and under which licence it is."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS_OF = {"cluster": ["cluster"], "kube": ["cluster", "search"], "suggestion": ["search"], "samplers": ["search"],
             "models": ["timm", "export"], "cli": ["timm"],
             "export": ["export", "serve"]}
"""Room -> the extras that it may import: its modules say so where they are missing."""
BROUGHT_BY_THE_USER = {"mlflow": "export", "model_registry": "export", "openvino": "models"}
"""Module -> room. Clients of registries: whoever registers there has them, at the version of their server. OpenVINO:
whoever deploys with it."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name, maxsplit=1)[0]).lower()


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_every_package_that_is_imported_is_a_dependency():
    providers = packages_distributions()
    own = {"consort", "consort_components", "consort_pipelines", *sys.stdlib_module_names}
    undeclared = set()
    for file in (ROOT / "src/consort").rglob("*.py"):
        room = file.relative_to(ROOT / "src/consort").parts[0]
        extras = [PROJECT["optional-dependencies"][extra] for extra in EXTRAS_OF.get(room, [])]
        declared = {normal(line) for lines in (PROJECT["dependencies"], *extras) for line in lines}
        modules = {module for module in set(imported(file)) - own if BROUGHT_BY_THE_USER.get(module) != room}
        undeclared |= {(file.name, module) for module in modules
                       if not declared & {normal(name) for name in providers.get(module, [module])}}
    assert undeclared == set()


def test_the_licence_is_apache_2_and_goes_with_the_package():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
    assert (PROJECT["license"], PROJECT["license-files"]) == ("Apache-2.0", ["LICENSE"])
    for file in ("images/Dockerfile", ".dockerignore"):
        assert "LICENSE" in (ROOT / file).read_text()
