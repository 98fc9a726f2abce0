"""How far a member is, as `consort status` shows it."""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial

from consort import members
from consort.errors import IntegrityError
from consort.run.run import Run
from consort.store import Store

DAMAGED = "damaged"

@dataclass(frozen=True)
class MemberState:
    """One row of `consort status`."""

    member: str
    state: str
    """done, failed, damaged, to import, to train, or what its job on a cluster does: waiting, running, restarting,
    suspended."""
    pod: str = ""
    node: str = ""
    restarts: int = 0
    epoch: float | None = None
    epochs: int | None = None
    loss: float | None = None
    detail: str = ""


def stored_states(run: Run) -> list[MemberState]:
    """The state of every member as the store has it."""
    present = members.files(run.store, run.ids)
    return [damaged_or(member, partial(_stored, run, member, state, present[member]))
            for member, state in run.states().items()]


def damaged_or(member: str, read: Callable[[], MemberState]) -> MemberState:
    """The state of a member; where its files are damaged that, with the remedy."""
    try:
        return read()
    except IntegrityError as e:
        return MemberState(member, DAMAGED, detail=str(e))


def _stored(run: Run, member: str, state: str, names: Set[str]) -> MemberState:
    if state == "done":
        return _done(run, member)
    return MemberState(member, state, detail=missing_detail(run.store, member, names))


def missing_detail(store: Store, member: str, names: Set[str]) -> str:
    """What the store knows of a member that is not done: why it is not, or how far it came whose training was
    interrupted, or goes on now, by the names of its files."""
    if (why := members.why_missing(store, member)) is not None:
        return why
    steps = [int(found[1]) for name in names if (found := re.match(r"resume/(\d+)/", name))]
    return f"its state at step {max(steps):,} is saved" if steps else ""


def _done(run: Run, member: str) -> MemberState:
    record = members.read_record(run.store, member)
    if record is None or record.val_accuracy is None:
        return MemberState(member, "done")
    return MemberState(member, "done", detail=f"{100 * record.val_accuracy:.2f} % on validation")
