"""The runs of a store, as its files tell them: no cluster, no torch."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from consort import members
from consort.errors import IntegrityError
from consort.store import Store, keys


@dataclass(frozen=True)
class RunOverview:
    """One planned run: how far it is, and what it says."""

    run: str
    """NAME/RUN."""
    members: int
    """Planned."""
    done: int
    failed: int
    finished_at: str
    """When the newest of its members was done, as its record says; empty while there is none."""
    answer: str
    """The answer in a sentence; empty until it was evaluated."""
    report: str
    """The page's address in the store; empty until it was written."""
    damaged: int = 0
    """Members whose record cannot be read: neither done nor failed."""


def overviews(store: Store, faults: dict[str, IntegrityError]) -> Iterator[RunOverview]:
    """Every planned run of the store, by name; plans of other versions have no members that this one knows.

    faults: takes the members whose record is damaged, with what is wrong with it.
    """
    present = set(store.list(keys.STUDIES))
    files = list(store.list(keys.MEMBERS))
    done, failed = ({key.split("/")[1] for key in files if key.endswith(name)}
                    for name in ("/member.json", "/failed.json"))

    @cache  # the levels of a study that grows share their members
    def finished_at(member: str) -> str | None:
        try:
            record = members.read_record(store, member)
        except IntegrityError as e:
            faults[member] = e
            return None
        return record.finished_at if record else None

    for key in sorted(key for key in present if key.endswith("/plan.json")):
        name, run = key.split("/")[1:3]
        ids = _ids(store.read(key))
        finished = [when for m in ids if m in done and (when := finished_at(m)) is not None]
        summary, page = keys.study_file(name, run, "summary.json"), keys.study_file(name, run, "report.html")
        answer = _answer(store.read(summary)) if summary in present else ""
        yield RunOverview(f"{name}/{run}", len(ids), len(finished), len(failed.intersection(ids)),
                          max(finished, default=""), answer, f"{store.uri}/{page}" if page in present else "",
                          len(faults.keys() & set(ids)))


def _answer(summary: bytes) -> str:
    """The answer of an evaluation; empty where it is damaged, which whoever asks for this run is told."""
    try:
        return str(json.loads(summary).get("answer", ""))
    except (ValueError, AttributeError):
        return ""


def _ids(plan: bytes) -> list[str]:
    """The members that a plan names; none where this version cannot read it."""
    trained, imported = members.ids_of_plan(plan)
    return [*trained, *imported]


def members_of_runs(store: Store) -> dict[str, list[str]]:
    """Member -> the runs that it is a member of, from those plans that can be read."""
    runs: dict[str, list[str]] = {}
    for key in store.list(keys.STUDIES):
        if key.endswith("/plan.json"):
            for member in _ids(store.read(key)):
                runs.setdefault(member, []).append("/".join(key.split("/")[1:3]))
    return runs
