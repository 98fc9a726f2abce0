"""What the report's page is given, so that it can answer within any budget."""

import base64
import json

import numpy as np
import pytest

from budget_worlds import world
from consort.answer import offline as module
from consort.answer.choice import best_first
from consort.answer.decision import decide
from consort.answer.offline import offline
from consort.errors import InputError


@pytest.mark.parametrize("seed", range(20))
def test_it_has_the_difference_of_every_two_that_a_budget_brings_together(seed):
    found, evidence = world(seed)
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


def test_its_bits_tell_the_candidates_apart_as_the_evidence_does():
    found, evidence = world(3)
    data = offline(found, evidence)
    assert data is not None and json.loads(json.dumps(data, allow_nan=False)) == data
    bits = np.frombuffer(base64.b64decode(data["bits"]), dtype=np.uint8).reshape(-1, data["bytesEach"])
    order = best_first(found.candidates)
    for one in (0, 5):
        apart = np.unpackbits(bits ^ bits[one], axis=1).sum(axis=1)
        assert apart.tolist() == [int((evidence.val[order[one]] != evidence.val[i]).sum()) for i in order]
    assert data["right"] == [int(evidence.val[i].sum()) for i in order]


def test_what_would_make_the_page_too_heavy_is_left_to_the_command(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 5000)
    assert offline(*world(0)) is None
