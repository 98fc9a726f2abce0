"""Counts as people read them: 1 image, 1,197 images, 1 class."""


def counted(number: int, noun: str) -> str:
    """A number with its noun in the singular or the plural: "1 class", "2 classes"."""
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def have(number: int) -> str:
    """ "has" or "have"."""
    return "has" if number == 1 else "have"


def are(number: int) -> str:
    """ "is" or "are", for a number of something."""
    return "is" if number == 1 else "are"
