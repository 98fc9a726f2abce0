"""What a page needs to answer within any budget, with nothing but itself.

Its script (report/budget.js) applies the rule of consort.answer.choice to the bits in it, and shows the sentences and
differences in it. Test images are not among the bits: a difference is computed here for every pair that a budget can
bring together.
"""

import base64
import json

import numpy as np

from consort.answer import sentences
from consort.answer.amounts import NUMBERS, format_count
from consort.answer.budgets import SLACK, WORDS
from consort.answer.choice import best_first, simplest_first
from consort.answer.choices import Candidate, Choices, Gain
from consort.answer.evidence import Evidence
from consort.answer.gains import gain, over_images

KNOBS = ("macs", "serial_ms", "bytes")
"""Costs that a reader bounds."""
MAX_BYTES = 500_000
"""What is larger would make the page too heavy; `consort answer` answers then."""


def offline(found: Choices, evidence: Evidence) -> dict | None:
    """As JSON values; None where it is larger than MAX_BYTES. Candidates are in the order of the best on validation."""
    order = best_first(found.candidates)
    candidates = [found.candidates[i] for i in order]
    val = evidence.val[order]
    bits = np.packbits(val[:, (val != val[0]).any(axis=0)], axis=1)  # what all agree on tells none apart
    if bits.nbytes > MAX_BYTES:
        return None
    bounds = {knob: WORDS[knob][0] for knob in KNOBS if any(getattr(c.costs, knob) is not None for c in candidates)}
    whole = {
        "study": found.study, "run": found.run, "valImages": found.val_images, "level": found.interval,
        "bounds": bounds, "start": {knob: v for knob, v in found.headline.budget.items() if knob in bounds},
        "bits": base64.b64encode(bits.tobytes()).decode(), "bytesEach": bits.shape[1],
        "right": val.sum(axis=1).tolist(), "simplest": simplest_first(candidates),
        "numbers": list(NUMBERS),
        "candidates": [_candidate(one, evidence.test[i], found, evidence)
                       for one, i in zip(candidates, order, strict=True)],
        "pairs": _pairs(found, candidates, evidence.test[order], val.sum(axis=1)),
    }
    return whole if len(json.dumps(whole)) <= MAX_BYTES else None


def _candidate(one: Candidate, right: np.ndarray, found: Choices, evidence: Evidence) -> dict:
    said = sentences.notes(one, over_images(right, evidence.majority, found.interval), found)
    return {"id": one.id, "single": one.kind == "single", "size": len(one.members), "members": list(one.members),
            **{knob: getattr(one.costs, knob) for knob in KNOBS}, "macsText": format_count(one.costs.macs),
            "name": sentences.named(one), "deploy": sentences.deploy(one, found.test_images),
            "alone": sentences.held_against(one, None, None, found), "why": sentences.why(one, one, found.val_images),
            "costs": sentences.costs(one), "promise": sentences.promise(one, found), "notes": said}


def _pairs(found: Choices, candidates: list[Candidate], test: np.ndarray, right: np.ndarray) -> dict[str, dict]:
    """"candidate-alternative" -> their difference and the sentence on it."""
    pairs = {}
    for one, other in _together(candidates, right):
        a, b = candidates[one], candidates[other]
        over = gain(a, b, (test[one], test[other]), found.seeds, found.interval, found.margin)
        pairs[f"{one}-{other}"] = {"text": sentences.held_against(a, b, over, found), **_numbers(over)}
    return pairs


def _numbers(over: Gain) -> dict:
    anew = None if over.anew is None else [over.anew.low, over.anew.high]
    return {"value": over.value, "low": over.low, "high": over.high, "anew": anew, "anewUnknown": over.anew_unknown}


def _together(candidates: list[Candidate], right: np.ndarray) -> list[tuple[int, int]]:
    """(candidate, alternative) that some budget may bring together.

    If the one is held against the other within any budget, it is within the smallest that has both: whatever is better
    than the other and fits that one fits them all.
    """
    costs = np.array([[np.inf if (cost := getattr(one.costs, knob)) is None else cost for knob in KNOBS]
                      for one in candidates], dtype=float)
    single = np.array([one.kind == "single" for one in candidates])
    found = []
    for s in np.flatnonzero(single):
        for e in np.flatnonzero(~single):
            within = (costs <= np.maximum(costs[s], costs[e]) * (1 + SLACK)).all(axis=1)
            if right[e] >= right[s] and np.argmax(within & single) == s:
                found.append((int(e), int(s)))
            if np.argmax(within & ~single) == e:
                found.append((int(s), int(e)))
    return found
