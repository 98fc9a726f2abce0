"""Every relative link in the repository's Markdown files leads somewhere."""

import os
import re
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
INLINE_CODE = re.compile(r"`[^`\n]*`")


def markdown_files() -> list[Path]:
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".")
                      and name not in ("build", "dist", "node_modules")
                      and not (Path(folder) / name / "pyvenv.cfg").exists()]
        found += [Path(folder) / name for name in names if name.endswith(".md")]
    return sorted(found)


def relative_links(text: str) -> list[str]:
    prose = INLINE_CODE.sub("", FENCE.sub("", text))
    found = [a or b for a, b in LINK.findall(prose)]
    return [link for link in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.I)]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings: lower case, spaces to hyphens, no punctuation."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", text), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def dead_links(file: Path) -> list[str]:
    dead = []
    for link in relative_links(file.read_text(encoding="utf-8")):
        path, _, anchor = urllib.parse.unquote(link).partition("#")
        target = file.parent / path if path else file
        lost = anchor and target.suffix == ".md" and target.exists() \
            and anchor not in anchors(target.read_text(encoding="utf-8"))
        if not target.exists() or lost:
            dead.append(link)
    return dead


def test_there_are_files_to_check():
    assert ROOT / "README.md" in markdown_files()


@pytest.mark.parametrize("file", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(file):
    assert dead_links(file) == []


def test_dead_links_are_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md) [b](gone.md) ![c](gone.png) [d](there.md#a-heading-with-code) [e](there.md#gone)\n"
                    "[f](https://example.org/gone) [g](#own) <img src=\"gone.svg\"> `[h](code.md)` [i](#gone)\n"
                    "```\n[j](fenced.md)\n```\n## Own\n")
    assert dead_links(page) == ["gone.md", "gone.png", "there.md#gone", "gone.svg", "#gone"]
