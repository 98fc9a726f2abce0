"""What an image installs before Consort itself, so that a change of code moves one small layer.

    requirements.py plain [EXTRA ...]   Consort's dependencies without torch's packages, and those of the extras
    requirements.py torch [EXTRA ...]   torch's packages alone, and those of the extras (timm is one)
    requirements.py extras [EXTRA ...]  those of the extras alone

Reads pyproject.toml beside it or in the folder above; prints a requirements file for pip.
"""

import re
import sys
import tomllib
from pathlib import Path

TORCH_PACKAGES = {"torch", "torchvision"}


def requirements(project: dict, kind: str, extras: list[str]) -> list[str]:
    """The lines for one kind of image, sorted, so that the order in pyproject.toml does not invalidate a layer."""
    known = project.get("optional-dependencies", {})
    missing = [extra for extra in extras if extra not in known]
    if missing:
        sys.exit(f"pyproject.toml has no extra {', '.join(missing)}; it has {', '.join(sorted(known))}")
    wanted = [line for line in project["dependencies"]
              if kind != "extras" and (_package(line) in TORCH_PACKAGES) == (kind == "torch")]
    wanted += [line for extra in extras for line in known[extra]]
    return sorted(set(wanted))


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def main() -> None:
    folder = Path(__file__).resolve().parent
    file = next(path for path in (folder / "pyproject.toml", folder.parent / "pyproject.toml") if path.exists())
    match sys.argv[1:]:
        case [("plain" | "torch" | "extras") as kind, *extras]:
            print("\n".join(requirements(tomllib.loads(file.read_text())["project"], kind, extras)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
