"""How members ended, which the store knows: told to the listener, and kept as the outcome."""

from collections.abc import Sequence

from consort import members
from consort.cluster.followed import Followed
from consort.events import Done, Failed, Listener, Outcome
from consort.store import Store


class MemberEnds:
    """The ends of a run's members; what is different where something else is trained stands in a subclass."""

    WHY_LOST = "do pods and launcher use one server?"

    def __init__(self, store: Store, listen: Listener) -> None:
        self.store, self.listen = store, listen
        self.outcome = Outcome()

    def has_record(self, member: str) -> bool:
        """Whether the store has it."""
        return members.read_record(self.store, member) is not None

    def known_failure(self, member: str) -> str | None:
        """Why it cannot be trained, where the store says so."""
        return members.read_failure(self.store, member)

    def note_setback(self, member: str, reason: str) -> None:
        """Remember why its job ended without it."""
        if self.known_failure(member) is None:
            members.write_setback(self.store, member, reason)

    def unfinished(self, wanted: Sequence[str]) -> list[str]:
        """Those of the members that are not at their ends in the store; of the others it is told."""
        return [member for member in wanted if not self._tell_stored(member)]

    def is_left(self, member: str) -> bool:
        """Whether it is not at its end in the store; nothing is told."""
        return not self.has_record(member) and self.known_failure(member) is None

    def look(self, followed: Followed, member: str) -> None:
        """Settle one of a job's members where the store says how it ended."""
        if member in followed.left and self._tell_stored(member):
            followed.left.remove(member)
            followed.failed = followed.failed or member in self.outcome.failed

    def settle(self, followed: Followed, member: str, reason: str) -> None:
        """One of a job's members ended without being done, as far as the store knows."""
        followed.left.remove(member)
        followed.failed = True
        self.tell(member, reason)

    def tell(self, member: str, reason: str | None) -> None:
        """A member is done, or why it is not."""
        if reason is None:
            self.outcome.trained.append(member)
            self.listen(Done(member))
        else:
            self.outcome.failed[member] = reason
            self.note_setback(member, reason)
            self.listen(Failed(member, reason))

    def _tell_stored(self, member: str) -> bool:
        """Tell the end that the store knows; whether it knows one."""
        done = self.has_record(member)
        reason = None if done else self.known_failure(member)
        if done or reason is not None:
            self.tell(member, reason)
        return done or reason is not None
