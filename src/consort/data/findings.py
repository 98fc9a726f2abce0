"""What was found in a source of images, what of it is used, and why the rest is not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from consort.plurals import counted

EXAMPLES = 3
"""Paths that are kept for each reason to leave files out."""
TAKEN = "taken"
UNREADABLE = "unreadable"
DUPLICATE = "duplicate"
HIDDEN = "hidden or of the system"
OTHER = "no image"
CLASSES_SHOWN = 12


@dataclass
class Findings:
    """Filled while a source is read; a part of its manifest."""

    counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Split folder -> class -> taken, or the reason to leave out -> number of files."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> the first paths."""
    notes: list[str] = field(default_factory=list)
    """What was understood in one of several ways."""
    warnings: list[str] = field(default_factory=list)
    """What makes the results worth less than they look."""

    def leave_out(self, split: str, label: str, reason: str, path: str) -> None:
        """Count a file of a class that is not used; an image that was taken before is so no longer."""
        self._count(split, label, reason)
        if len(shown := self.examples.setdefault(reason, [])) < EXAMPLES:
            shown.append(printable(path))

    def take(self, split: str, label: str) -> None:
        self._count(split, label, TAKEN)

    def drop(self, split: str, label: str, reason: str, path: str) -> None:
        """Leave out an image that had been taken."""
        self.counts[split][label][TAKEN] -= 1
        self.leave_out(split, label, reason, path)

    def _count(self, split: str, label: str, what: str) -> None:
        of_class = self.counts.setdefault(split, {}).setdefault(label, {})
        of_class[what] = of_class.get(what, 0) + 1

    def emptied(self, split: str) -> list[str]:
        """Classes of a split that have none of the images that they came with."""
        return [label for label, of_class in self.counts.get(split, {}).items()
                if label and not of_class.get(TAKEN) and any(map(_is_image, of_class))]

    def why(self, split: str, label: str) -> str:
        """The reasons for which files of a class are not used, with their numbers."""
        return _listed({k: n for k, n in self.counts[split][label].items() if k != TAKEN})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def lines(found: Mapping[str, Any]) -> list[str]:
    """Findings as sentences: a line per split, then why files are not used, notes and warnings."""
    text = []
    for split, classes in found.get("counts", {}).items():
        sums: Counter[str] = Counter()
        for of_class in classes.values():
            sums.update(of_class)
        taken = sums.pop(TAKEN, 0)
        of_class_taken = {label: n for label, c in classes.items() if (n := c.get(TAKEN, 0))}
        per_class = f": {_listed(of_class_taken)}" if 0 < len(of_class_taken) <= CLASSES_SHOWN else (
            f": {min(of_class_taken.values())} to {max(of_class_taken.values())} each" if of_class_taken else "")
        text.append(f"{split}/: {counted(taken + sum(sums.values()), 'file')} found, {taken:,} taken of "
                    f"{counted(len(of_class_taken), 'class')}{per_class}"
                    + (f"; not taken: {_listed(sums)}" if sums else "") + ".")
    text += [f"not taken, {reason}: {', '.join(paths)}" for reason, paths in found.get("examples", {}).items()]
    text += found.get("notes", [])
    text += [f"warning: {warning}" for warning in found.get("warnings", [])]
    return text


def printable(path: str) -> str:
    """A path with what is no text in it (names from another system) as escapes."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_image(reason: str) -> bool:
    return reason not in (HIDDEN, OTHER)


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in numbers.items())
