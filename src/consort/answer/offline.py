"""What a page needs to answer within any budget, with nothing but itself.

Its script (report/budget.js) applies the rule of consort.answer.choice to the values in it, and shows the sentences and
differences in it. What needs the images is computed here: which candidates validation does not tell from which, and the
difference of every pair that a budget can bring together.
"""

import base64
import json

import numpy as np

from consort.answer import sentences
from consort.answer.amounts import NUMBERS, format_count
from consort.answer.budgets import SLACK, WORDS
from consort.answer.choice import best_first, simplest_first, untold
from consort.answer.choices import Candidate, Choices, Gain
from consort.answer.evidence import Evidence
from consort.answer.gains import gain, paired
from consort.answer.metric import LEAST, MOST, as_good, decimals, goodness, scale, unit

KNOBS = ("macs", "serial_ms", "bytes")
"""Costs that a reader bounds."""
MAX_BYTES = 500_000
"""What is larger would make the page too heavy; `consort answer` answers then."""


def offline(found: Choices, evidence: Evidence) -> dict | None:
    """As JSON values; None where it is larger than MAX_BYTES. Candidates are in the order of the best on validation."""
    metric, order = found.metric, best_first(found.candidates, found.metric)
    candidates = [found.candidates[i] for i in order]
    values = [goodness(metric, one.val.value) for one in candidates]
    near = np.packbits(_untold(evidence, order), axis=1)
    bounds = {knob: WORDS[knob][0] for knob in KNOBS if any(getattr(c.costs, knob) is not None for c in candidates)}
    whole = {
        "study": found.study, "run": found.run, "valImages": found.val_images, "level": found.interval,
        "bounds": bounds, "start": {knob: v for knob, v in found.headline.budget.items() if knob in bounds},
        "untold": base64.b64encode(near.tobytes()).decode(), "bytesEach": near.shape[1],
        "values": values, "simplest": simplest_first(candidates, metric), "numbers": list(NUMBERS),
        "metric": {"scale": scale(metric), "unit": unit(metric), "decimals": decimals(metric), "least": LEAST,
                   "over": "Gain over" if metric == "nll" else "Difference to", "most": MOST[metric],
                   "asGood": as_good(metric)},
        "candidates": [_candidate(i, found, evidence) for i in order],
        "pairs": _pairs(found, candidates, order, evidence, np.array(values)),
    }
    return whole if len(json.dumps(whole)) <= MAX_BYTES else None


def _untold(evidence: Evidence, order: list[int]) -> np.ndarray:
    """bool [best, other]: whether validation does not tell the other from the best, which stands before it."""
    near = np.zeros((len(order), len(order)), dtype=bool)
    for place, best in enumerate(order):
        found = untold(evidence, best, order[place:])
        near[place, place:] = [one in found for one in order[place:]]
    return near


def _candidate(number: int, found: Choices, evidence: Evidence) -> dict:
    one = found.candidates[number]
    said = sentences.notes(one, paired(evidence, number, None).gain(found.interval), found)
    return {"id": one.id, "single": one.kind == "single", "size": len(one.members), "members": list(one.members),
            **{knob: getattr(one.costs, knob) for knob in KNOBS}, "macsText": format_count(one.costs.macs),
            "name": sentences.named(one), "deploy": sentences.deploy(one, found),
            "alone": sentences.held_against(one, None, None, found),
            "why": sentences.why(one, one, found.val_images, found.metric, len(found.candidates) == 1),
            "costs": sentences.costs(one), "promise": sentences.promise(one, found), "notes": said}


def _pairs(found: Choices, candidates: list[Candidate], order: list[int], evidence: Evidence,
           values: np.ndarray) -> dict[str, dict]:
    """"candidate-alternative" -> their difference and the sentence on it."""
    pairs = {}
    for one, other in _together(candidates, values):
        a, b = candidates[one], candidates[other]
        over = gain(a, b, paired(evidence, order[one], order[other]), found)
        pairs[f"{one}-{other}"] = {"text": sentences.held_against(a, b, over, found), **_numbers(over)}
    return pairs


def _numbers(over: Gain) -> dict:
    anew = None if over.anew is None else [over.anew.low, over.anew.high]
    return {"value": over.value, "low": over.low, "high": over.high, "anew": anew, "anewUnknown": over.anew_unknown}


def _together(candidates: list[Candidate], values: np.ndarray) -> list[tuple[int, int]]:
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
            if values[e] >= values[s] and np.argmax(within & single) == s:
                found.append((int(e), int(s)))
            if np.argmax(within & ~single) == e:
                found.append((int(s), int(e)))
    return found
