"""choices.json and the evidence beside it, in the store."""

from consort.answer.choices import Choices, from_json
from consort.answer.evidence import Evidence, evidence_of
from consort.store import Store, keys

CHOICES, EVIDENCE = "choices.json", "evidence.npz"


def write(store: Store, found: Choices, evidence: Evidence) -> None:
    """choices.json is written last: its presence means that both are there."""
    store.write(keys.study_file(found.study, found.run, EVIDENCE), evidence.to_bytes())
    store.write(keys.study_file(found.study, found.run, CHOICES), found.to_json())


def read(store: Store, study: str, run: str) -> tuple[Choices, Evidence] | None:
    """Both, or None where the run was evaluated before there were choices, or not at all."""
    choices_key, evidence_key = (keys.study_file(study, run, name) for name in (CHOICES, EVIDENCE))
    if not store.exists(choices_key):
        return None
    return from_json(store.read(choices_key), choices_key), evidence_of(store.read(evidence_key), evidence_key)
