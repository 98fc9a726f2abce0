"""The end of an evaluation: what is chosen within each budget, for choices.json and, summed up, for summary.json."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from consort.answer import stored
from consort.answer.candidates import Proposals
from consort.answer.choices import Candidate, Choices, Confidences, Majority
from consort.answer.decision import About, choices
from consort.answer.evidence import Evidence
from consort.answer.undertrained import still_improving
from consort.data.prepared import Prepared
from consort.ensembles.image_scores import guess_scores, one_image, value_of
from consort.ensembles.intervals import Seeds
from consort.members.records import MemberRecord
from consort.store import Store
from consort.study.file import Study


def conclude(store: Store, study: Study, run: str, data: Prepared, records: Sequence[MemberRecord],
             seeds: Seeds | None, proposals: Proposals, measured: tuple[Sequence[Candidate], np.ndarray],
             confidences: Confidences | None) -> Choices:
    """Decide, and write what was decided, with the evidence for deciding again within other budgets.

    proposals, measured: the candidates on validation, and on the test images with their scores.
    """
    (candidates, scores), metric, val, test = measured, study.answer.metric, data.labels("val"), data.labels("test")
    counts = np.bincount(val, minlength=len(data.classes))
    guesses = guess_scores(metric, counts, test)
    evidence = Evidence(np.array([one.scores for one in proposals.candidates]), scores, guesses,
                        (one_image(metric, val), one_image(metric, test)))
    majority = Majority(data.classes[counts.argmax()], float((test == counts.argmax()).mean()),
                        value_of(metric, guesses))
    about = About(study.name, run, study.question, study.evaluate.confidence, tuple(data.classes), majority, seeds,
                  _improving(store, records, len(val)), study.answer, proposals.promises_share, confidences)
    found = choices(about, candidates, evidence)
    stored.write(store, found, evidence)
    return found


def answer_columns(found: Choices) -> dict:
    """The answer in summary.json: of every choice what is deployed, what it is held against, and the sentence."""
    entries = []
    for choice in found.choices:
        one = found.candidate(choice.candidate)
        other = None if choice.alternative is None else found.candidate(choice.alternative)
        gain = choice.gain
        entries.append({
            "text": choice.text, "why": choice.why, "budget": choice.budget, "budget_macs": choice.budget.get("macs"),
            "ensemble": one.label, "members": list(one.members), "macs": one.costs.macs,
            "serial_ms": one.costs.serial_ms, "versus": other and other.label, "accuracy": one.test.accuracy,
            "versus_accuracy": other and other.test.accuracy, "value": one.test.value,
            "versus_value": other and other.test.value, "gain": gain and gain.value, "low": gain and gain.low,
            "high": gain and gain.high, "resolved": gain is not None and gain.resolved,
            "anew": gain and gain.anew and asdict(gain.anew), "anew_unknown": gain and gain.anew_unknown,
            "resolved_anew": gain is not None and gain.anew is not None and gain.anew.resolved})
    return {"metric": found.metric, "answers": entries, "answer": entries[0]["text"], "notes": list(found.notes)}


def _improving(store: Store, records: Sequence[MemberRecord], val_images: int) -> tuple[str, ...]:
    """Architectures whose first member still improved when its training ended; unknown where there is no history."""
    from consort.members.history import read_history  # imports pyarrow

    first = {record.architecture: record for record in reversed(records)}
    return tuple(name for name in dict.fromkeys(record.architecture for record in records)
                 if still_improving(read_history(store, first[name]), val_images))
