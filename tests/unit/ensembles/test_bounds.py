"""Exact bounds against enumeration."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from consort.ensembles import bounds


def test_what_no_image_showed_has_the_rule_of_three():
    assert bounds.never_seen(1000) == pytest.approx(3 / 1000, rel=0.01)
    assert (1 - bounds.never_seen(50, 0.9)) ** 50 == pytest.approx(0.1)


@pytest.mark.parametrize("one,other", [(0, 0), (4, 0), (1, 5), (3, 3), (12, 2)])
def test_mcnemar_is_the_binomial_test_of_a_fair_coin(one, other):
    expected = binomtest(one, one + other).pvalue if one + other else 1.0
    assert bounds.mcnemar(one, other) == pytest.approx(expected)


@pytest.mark.parametrize("images,loss", [(25, 0.15), (40, 0.1)])
@pytest.mark.parametrize("error", [0.05, 0.2])
def test_a_loss_is_called_small_too_often_in_no_world(images, loss, error):
    """All outcomes of so few images, in worlds that lose exactly this much: how often is it denied?"""
    outcomes = [(w, b) for w in range(images + 1) for b in range(images + 1 - w)]
    passed = [(w, b) for w, b in outcomes if bounds.loses_less(w, b, images, loss, error)]
    assert passed
    counts = np.array([(w, b, images - w - b) for w, b in passed])
    for better in np.linspace(0, (1 - loss) / 2, 30):
        shares = [better + loss, better, 1 - 2 * better - loss]
        assert multinomial.pmf(counts, images, np.maximum(shares, 0)).sum() <= error + 1e-9


def test_a_p_value_falls_with_more_images_of_the_same_and_is_1_where_the_loss_was_seen():
    values = [bounds.loss_p_value(n, n, 1000 * n, 0.005) for n in (1, 4, 16)]
    assert values == sorted(values, reverse=True)
    assert bounds.loss_p_value(30, 5, 1000, 0.005) == 1
    assert bounds.loss_p_value(0, 0, 10**6, 0.005) == 0.005


def test_images_needed_is_where_promises_begin():
    needed = bounds.images_needed(0.01)
    assert math.log(0.05) / math.log(0.99) < needed < 600
    assert bounds.loses_less(0, 0, needed, 0.01, 0.05) and not bounds.loses_less(0, 0, needed - 1, 0.01, 0.05)
    assert bounds.images_needed(0.01, among=20) > needed
