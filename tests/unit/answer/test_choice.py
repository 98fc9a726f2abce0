"""The rule of the choice, on random tables against a straightforward definition, and on tables written by hand."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.answer import choice
from consort.answer.budgets import fits
from consort.answer.choice import Chosen
from consort.answer.choices import Candidate
from consort.answer.evidence import Evidence
from consort.answer.metric import NAMES
from consort.ensembles.image_scores import class_weights, one_image
from hand_candidates import candidate, costs, empty, judged, right

LABELS = ("1 x a", "1 x b", "1 x c", "2 x a", "3 x a", "2 x b", "1 x a + 1 x b", "1 x a + 2 x c")


def choose(candidates: list[Candidate], rows: np.ndarray, budget: dict[str, float]) -> Chosen | None:
    return choice.choose(empty(candidates), Evidence(rows, rows, rows[0]), budget)


@dataclass
class Table:
    """Candidates whose costs and predictions have nothing to do with each other, and a budget."""

    candidates: list[Candidate]
    scores: np.ndarray
    metric: str
    one_image: float
    budget: dict[str, float]

    def chosen(self) -> Chosen | None:
        seen = Evidence(self.scores, self.scores, self.scores[0], (self.one_image, self.one_image))
        return choice.choose(empty(self.candidates, metric=self.metric), seen, self.budget)

    @property
    def within(self) -> list[int]:
        return [i for i, one in enumerate(self.candidates) if fits(one.costs, self.budget)]

    def told(self, best: int, other: int, slack: float) -> bool:
        """Whether the other is more than a standard error below the best, written out image by image."""
        differences = self.scores[best].astype(float) - self.scores[other].astype(float)
        # An image more of each kind that tells them apart.
        error = math.sqrt(np.append(differences, [self.one_image, -self.one_image]).var() / (len(differences) + 2))
        return differences.mean() > error + slack


@st.composite
def tables(draw) -> Table:
    images, metric = draw(st.integers(1, 40)), draw(st.sampled_from(list(NAMES)))
    amounts = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0])
    labels = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1, 4]), min_size=images, max_size=images)))
    score = st.sampled_from([-3.0, -0.5, -0.125, -0.125]) if metric == "nll" else st.booleans()
    found, rows = [], []
    for number in range(draw(st.integers(1, 9))):
        row = np.array(draw(st.lists(score, min_size=images, max_size=images)))
        row = row * class_weights(labels) if metric == "balanced_accuracy" else row
        label = draw(st.sampled_from(LABELS))
        cascade = draw(st.booleans()) and not label.startswith("1 x") | (label == "1 x a + 1 x b")
        macs = draw(amounts)
        cost = costs(macs, worst=macs + draw(st.sampled_from([0.0, 4.0])), ms=draw(amounts | st.none()))
        stages = sum(int(part[0]) for part in label.split(" + "))
        one = candidate(number, label, 0.5, cost=cost, nll=draw(st.sampled_from([0.1, 0.2])),
                        thresholds=[0.9] * (stages - 1) if cascade else None)
        found.append(judged(one, metric, row, row))
        rows.append(row)
    budget = draw(st.dictionaries(st.sampled_from(["macs", "serial_ms", "macs_worst", "bytes"]),
                                  st.sampled_from([0.1, 1.0, 3.0, 6.0, 20.0]), max_size=2))
    return Table(found, np.array(rows), metric, one_image(metric, labels), budget)


@given(tables())
def test_no_answer_is_worse_on_validation_than_the_best_single_within_its_budget_and_its_partner_never_is(table):
    candidates, chosen, within = table.candidates, table.chosen(), table.within
    if not within:
        assert chosen is None
        return
    assert chosen is not None and {chosen.candidate, chosen.best} <= set(within)
    means = table.scores.mean(axis=1)  # larger is better, whatever the metric
    singles = [i for i in within if candidates[i].kind == "single"]
    best_single = max((means[i] for i in singles), default=-math.inf)
    assert means[chosen.candidate] >= best_single
    assert means[chosen.best] == max(means[i] for i in within)
    if singles:
        assert chosen.partner in singles and means[chosen.partner] == best_single
    else:
        assert chosen.partner is None
    if candidates[chosen.candidate].kind == "single":
        assert chosen.alternative is None or candidates[chosen.alternative].kind != "single"
    else:
        assert chosen.alternative == chosen.partner


@given(tables())
def test_it_is_the_simplest_that_validation_does_not_tell_from_the_best(table):
    candidates, chosen = table.candidates, table.chosen()
    if chosen is None:
        return
    means = table.scores.mean(axis=1)
    floor = -math.inf if chosen.partner is None else means[chosen.partner]
    assert not table.told(chosen.best, chosen.candidate, slack=1e-12)
    simplest = candidates[chosen.candidate]
    for i in table.within:
        if means[i] >= floor and not table.told(chosen.best, i, slack=-1e-12):
            other = candidates[i]
            assert (len(simplest.members), simplest.costs.macs) <= (len(other.members), other.costs.macs)


@given(tables(), st.randoms())
def test_the_order_of_the_candidates_does_not_matter(table, rng):
    order = list(range(len(table.candidates)))
    rng.shuffle(order)
    distinct = [dataclasses.replace(one, val=dataclasses.replace(one.val, nll=0.1 + i / 1000))
                for i, one in enumerate(table.candidates)]
    first = dataclasses.replace(table, candidates=distinct).chosen()
    again = dataclasses.replace(table, candidates=[distinct[i] for i in order], scores=table.scores[order]).chosen()
    if first is None:
        assert again is None
    else:
        assert again is not None
        assert distinct[first.best] is distinct[order[again.best]]
        assert table.scores[first.candidate].mean() == table.scores[order[again.candidate]].mean()


def test_a_lead_of_one_image_tells_nothing_and_a_clear_one_tells():
    candidates = [candidate(0, "1 x a", 0.90), candidate(1, "2 x a", 0.901)]
    rows = np.array([right(1000, 0.900), right(1000, 0.901)])
    assert choose(candidates, rows, {}).candidate == 0
    rows[1] = right(1000, 0.93)
    candidates[1] = candidate(1, "2 x a", 0.93)
    found = choose(candidates, rows, {})
    assert (found.candidate, found.best, found.partner, found.alternative) == (1, 1, 0, 0)


def test_a_cheaper_single_that_is_a_tie_is_taken_only_where_it_is_as_accurate():
    """One standard error below the best is near enough for an ensemble to be put off, not for the best single to be
    replaced by a worse one."""
    candidates = [candidate(0, "1 x a", 0.899, cost=costs(1.0)), candidate(1, "1 x b", 0.9, cost=costs(5.0))]
    rows = np.array([right(1000, 0.899), right(1000, 0.9)])
    assert choose(candidates, rows, {}).candidate == 1
    candidates[0] = candidate(0, "1 x a", 0.9, cost=costs(1.0))
    rows[0] = right(1000, 0.9, of=500)
    assert choose(candidates, rows, {}).candidate == 0


def test_of_two_ties_with_as_many_networks_the_cheaper_one_is_taken():
    cascade = candidate(1, "2 x a", 0.95, cost=costs(1.2, worst=2.0), thresholds=[0.9])
    candidates = [candidate(0, "1 x a", 0.8, cost=costs(1.0)), cascade, candidate(2, "2 x a", 0.95, cost=costs(2.0))]
    rows = np.array([right(500, 0.8), right(500, 0.95), right(500, 0.95, of=3)])
    assert choose(candidates, rows, {}).candidate == 1


@pytest.mark.parametrize("budget,expected", [({"macs": 1.0}, 0), ({"macs": 1.5}, 1),
                                             ({"macs": 1.5, "macs_worst": 1.5}, 0), ({"macs": 0.5}, None),
                                             ({"serial_ms": 10.0}, None)])
def test_every_bound_is_kept_and_an_unknown_cost_keeps_none(budget, expected):
    candidates = [candidate(0, "1 x a", 0.8, cost=costs(1.0)),
                  candidate(1, "2 x a", 0.95, cost=costs(1.2, worst=2.0), thresholds=[0.9])]
    chosen = choose(candidates, np.array([right(500, 0.8), right(500, 0.95)]), budget)
    assert (None if chosen is None else chosen.candidate) == expected
