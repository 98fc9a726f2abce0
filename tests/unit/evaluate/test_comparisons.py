"""Rows beside rows."""

import numpy as np
import pytest

from consort.evaluate.comparisons import Comparable, fill_in
from consort.evaluate.rows import COLUMNS


@pytest.mark.parametrize("value,expected", [(1.0, (1 - 3 / 1000, 1.0)), (0.0, (0.0, 3 / 1000))])
def test_an_accuracy_of_all_or_none_is_uncertain_by_three_images(value, expected):
    row = dict.fromkeys(COLUMNS)
    fill_in(Comparable([row], np.full((200, 1), value), 0.95, 1000))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(expected, abs=1e-5)
