"""How fast all members of a run train together, and how long the whole run takes from now."""

from collections.abc import Mapping, Sequence
from statistics import mean

from consort.events import Done, Event, Failed, Progressed

LEAST_SECONDS = 1.0
"""A rate is not read from a member that has less left: what is told is rounded."""


class TimeLeft:
    """Learns from the members' events.

    A place goes from member to member, or from pack to pack, at the rate of work that it has now. Until it has told one
    it is taken to be as fast as the others.
    """

    def __init__(self, work: Mapping[str, float], shares: Sequence[Sequence[str]]) -> None:
        """work: of each member; shares: which members each place trains."""
        self.work, self.shares = work, shares
        self.left = dict(work)
        self.places = {member: place for place, share in enumerate(shares) for member in share}
        self.rates: dict[int, float] = {}
        """Place -> work per second."""
        self.images: dict[int, float] = {}
        """Place -> images per second."""

    def listen(self, event: Event) -> None:
        match event:
            case Progressed() if event.member in self.places:
                self._progressed(event, self.places[event.member])
            case Done() | Failed() if event.member in self.places:
                self.left[event.member] = 0.0
                if not self._left_of(place := self.places[event.member]):
                    self.images.pop(place, None)

    def _progressed(self, event: Progressed, place: int) -> None:
        left = self.left[event.member] = self.work[event.member] * (1 - event.step / event.steps)
        if event.seconds_left >= LEAST_SECONDS or (event.seconds_left and place not in self.rates):
            self.rates[place] = left / event.seconds_left * event.side_by_side
        self.images[place] = event.images_per_second * event.side_by_side

    def _left_of(self, place: int) -> float:
        return sum(self.left[member] for member in self.shares[place])

    @property
    def images_per_second(self) -> float:
        """Of all members that train now."""
        return sum(self.images.values())

    @property
    def seconds(self) -> float | None:
        """Until the last member is trained; None as long as no rate is known."""
        if not self.rates:
            return None
        usual = mean(self.rates.values())
        return max(self._left_of(place) / self.rates.get(place, usual) for place in range(len(self.shares)))
