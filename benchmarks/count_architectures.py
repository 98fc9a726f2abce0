"""Every classification network of torchvision and timm, counted at the size that it was published with.

    python benchmarks/count_architectures.py [FILTER]

Prints those that cannot be counted, each with its reason, those that have operators with weights that no formula
counts, and how many there are of each. It takes some minutes.
"""

import sys
from fnmatch import fnmatch

from consort.costs.macs import Cost, count
from consort.errors import InputError
from consort.models import timm_models, torchvision_models

MULTIPLIES = ("conv", "mm", "matmul", "linear", "einsum", "attention", "bilinear", "lstm", "gru")
"""Parts of the names of operators that do multiply-adds."""


def multiplying(cost: Cost) -> list[str]:
    """Uncounted operators that look as if they should be counted."""
    return [name for name in cost.uncounted if any(part in name for part in MULTIPLIES) and "upsample" not in name]


def main(pattern: str = "*") -> None:
    refused, partly, counted = 0, 0, 0
    for name in torchvision_models.names() + timm_models.all_names():
        if not fnmatch(name, pattern):
            continue
        try:
            cost = count(name)
        except InputError as e:
            refused += 1
            print(f"refused  {name:44} {e}", flush=True)
            continue
        except Exception as e:  # the very thing that is looked for
            refused += 1
            print(f"DEFECT   {name:44} {type(e).__name__}: {e}", flush=True)
            continue
        counted += 1
        if rest := multiplying(cost):
            partly += 1
            print(f"partly   {name:44} not counted: {', '.join(rest)}", flush=True)
    print(f"{counted} counted, {partly} of them in part; {refused} cannot be")


if __name__ == "__main__":
    main(*sys.argv[1:])
