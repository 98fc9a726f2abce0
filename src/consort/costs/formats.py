"""Which number format "auto" is: bfloat16 where the hardware has it, unless it is clearly slower there."""

from collections.abc import Mapping, Sequence

import numpy as np

CLEARLY = 1.1
"""So many times as long: what is less may be noise, and members of one study should not differ by that."""


def faster(times_ms: Mapping[str, Sequence[float]]) -> str:
    """The format to take, by its passes: float32 where bfloat16 takes clearly longer, else bfloat16."""
    median = {precision: float(np.median(times)) for precision, times in times_ms.items()}
    return "float32" if median["bfloat16"] > CLEARLY * median["float32"] else "bfloat16"
