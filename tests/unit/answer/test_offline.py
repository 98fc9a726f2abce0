"""What the report's page is given, so that it can answer within any budget."""

import base64
import json

import numpy as np
import pytest

from budget_worlds import world
from consort.answer import offline as module
from consort.answer.choice import best_first, untold
from consort.answer.decision import decide
from consort.answer.metric import NAMES
from consort.answer.offline import offline
from consort.errors import InputError


@pytest.mark.parametrize("seed,metric", [*((seed, "accuracy") for seed in range(20)), (0, "nll"), (1, "nll"),
                                         (2, "balanced_accuracy"), (3, "balanced_accuracy")])
def test_it_has_the_difference_of_every_two_that_a_budget_brings_together(seed, metric):
    found, evidence = world(seed, metric=metric)
    data = offline(found, evidence)
    assert data is not None
    place = {one["id"]: i for i, one in enumerate(data["candidates"])}
    rng, met = np.random.default_rng(seed), set()
    for _ in range(150):
        bounds = {"macs": rng.uniform(1e6, 12e6), "serial_ms": rng.uniform(0.5, 6), "bytes": rng.uniform(4e4, 5e5)}
        budget = {name: bound for name, bound in bounds.items() if rng.random() < 0.5}
        try:
            choice = decide(found, evidence, budget)
        except InputError:
            continue
        if choice.alternative is not None and choice.gain is not None:
            pair = data["pairs"][f"{place[choice.candidate]}-{place[choice.alternative]}"]
            assert (pair["value"], pair["low"], pair["high"]) == (choice.gain.value, choice.gain.low, choice.gain.high)
            met.add((choice.candidate, choice.alternative))
    assert len(met) > 1


@pytest.mark.parametrize("metric", NAMES)
def test_it_says_of_every_candidate_which_validation_does_not_tell_from_it(metric):
    found, evidence = world(3, metric=metric)
    data = offline(found, evidence)
    assert data is not None and json.loads(json.dumps(data, allow_nan=False)) == data
    near = np.unpackbits(np.frombuffer(base64.b64decode(data["untold"]), dtype=np.uint8).reshape(
        -1, data["bytesEach"]), axis=1)
    order = best_first(found.candidates, metric)
    for place in (0, 5):
        others = order[place:]
        not_told = untold(evidence, order[place], others)
        assert 1 < len(not_told) < len(others)
        assert near[place, place:len(order)].tolist() == [int(i in not_told) for i in others]
    means = evidence.val.mean(axis=1, dtype=np.float64)
    assert data["values"] == pytest.approx([means[i] for i in order]) == sorted(data["values"], reverse=True)


def test_what_would_make_the_page_too_heavy_is_left_to_the_command(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 5000)
    assert offline(*world(0)) is None
