"""What tests of graphs and of programs share."""

import numpy as np
import pytest
from torch import nn

from unsure_networks import log_probs_of, unsure_networks


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    return unsure_networks()


@pytest.fixture(scope="module")
def log_probs(networks) -> np.ndarray:
    return log_probs_of(networks)
