"""A pack: members that one process trains side by side on one device.

What a member becomes does not depend on it: a step of a pack is one step of each of its members, each with its own
images, draws, rate and weights. On a GPU the step is captured once and replayed (`graph`). On a CPU, where nothing can
be captured, the same steps are made one member after another, which is how tests hold a pack to `loop`.
"""

import time
from collections.abc import Callable, Sequence

import torch

from consort.data.resident import Resident, bring
from consort.errors import ConsortError
from consort.events import Warned
from consort.models import compute
from consort.train.graph import NotCapturable, capture
from consort.train.lane import MOST_STEPS, Lane
from consort.train.member import Member

FIRST_STEPS = 4
"""Of the first block; blocks grow until one takes about a second."""
SHORT_SECONDS, LONG_SECONDS = 0.5, 1.5

Ended = Callable[[Member, ConsortError | None], None]
"""Called when a member is done (None), or why it goes on no further."""


def run(members: Sequence[Member], ended: Ended) -> None:
    """Train members to their ends, each from the step where it is. A member that ends takes no other with it.

    All members have the same settings and device. Raises a RuntimeError that `compute.is_out_of_memory` knows where
    they do not fit together.
    """
    for member in [m for m in members if m.step == m.steps]:  # it was interrupted after its last step
        ended(member, None)
    pack = _Pack([m for m in members if m.step < m.steps], ended)
    while pack.lanes:
        pack.until_one_ends()


class _Pack:
    def __init__(self, members: Sequence[Member], ended: Ended) -> None:
        self.ended = ended
        data: dict[str, Resident] = {}
        self.lanes: list[Lane] = []
        self.eager: list[Lane] = []
        for member in members:
            member.side_by_side = len(members)
            member.state.network.train()
            if member.spec.data not in data:
                data[member.spec.data] = bring(member.data, member.compute.device)
            self.lanes.append(Lane(member, data[member.spec.data]))
        self.leaving: list[tuple[Lane, ConsortError | None]] = []
        self.block_steps = FIRST_STEPS
        self.saved = time.perf_counter()
        self.stopping = False

    def until_one_ends(self) -> None:
        """Train these members until one of them leaves; the graph is one of exactly these."""
        steps = self._steps_from(0)
        for place in range(steps):
            self._draw(place, ahead=0)
        self._send(steps)
        replay = self._replay()
        there = len(self.lanes)
        for member in [lane.member for lane in self.lanes]:
            member.in_step = there
            member.pace.begin_anew(member.step)
        while len(self.lanes) == there:
            began = time.perf_counter()
            following = self._steps_from(steps)
            done = self._block(replay, steps, following)
            self._judge(done)
            self._adapt(time.perf_counter() - began)
            steps = following
            if len(self.lanes) == there:
                self._send(steps)
        del replay  # the memory of the graph is free for the predictions of those that leave
        self._tell_who_left()

    def _replay(self) -> Callable[[int], None]:
        """What makes one step of all members, given its place in the block."""
        replayed = self._captured() if self.lanes[0].device.type == "cuda" else None
        launched = list(self.lanes) if replayed is None else [lane for lane in self.lanes if lane in self.eager]

        def step(place: int) -> None:
            if replayed is not None:
                replayed.replay()
            for lane in launched:
                lane.eager_step(lane.member.step + place)
        return step

    def _captured(self) -> torch.cuda.CUDAGraph | None:
        """The graph of the lanes that can be captured; it is said of the others, once, that they cannot be."""
        while lanes := [lane for lane in self.lanes if lane not in self.eager]:
            try:
                return capture(lanes)
            except NotCapturable as e:
                self.eager += e.lanes
                for member in [lane.member for lane in e.lanes]:
                    member.listen(Warned(member.spec.id, f"{member.spec.architecture}: every step is launched from "
                                                         f"Python, since {e}"))
            except RuntimeError as e:
                if compute.is_out_of_memory(e):  # smaller packs go on from here
                    for member in [lane.member for lane in self.lanes if lane.member.step]:
                        member.save()
                raise
        return None

    def _block(self, replay: Callable[[int], None], steps: int, following: int) -> int:
        """Make the block's steps and, while the device is busy with them, draw the following block; the steps made,
        fewer where the members were asked to stop."""
        for place in range(steps):
            replay(place)
            if place < following:
                self._draw(place, ahead=steps)
            if self.lanes[0].member.settings.stop():
                self.stopping = True
                return place + 1
        for place in range(steps, following):
            self._draw(place, ahead=steps)
        return steps

    def _draw(self, place: int, ahead: int) -> None:
        for lane in self.lanes:
            lane.draw(place, lane.member.step + ahead + place)

    def _send(self, steps: int) -> None:
        for lane in self.lanes:
            lane.send(steps)

    def _steps_from(self, ahead: int) -> int:
        """The steps of the block that begins `ahead` steps from now: none crosses a member's halt."""
        left = (lane.member.next_halt(lane.member.step + ahead) - lane.member.step - ahead for lane in self.lanes)
        return min(self.block_steps, *left)

    def _judge(self, done: int) -> None:
        """Read the block's losses; let members go that are done, failed or stopped; save the others if it is time."""
        losses = [lane.read(done) for lane in self.lanes]
        for lane, of_member in zip(list(self.lanes), losses, strict=True):
            try:
                lane.member.note(of_member)
                if lane.member.to_judge():
                    lane.member.judge()
                    lane.member.state.network.train()
                if self.stopping:
                    raise lane.member.terminated()
            except ConsortError as e:
                self._let_go(lane, e)
                continue
            if lane.member.step == lane.member.steps:
                self._let_go(lane, None)
        seconds = time.perf_counter() - self.saved
        due = [lane.member for lane in self.lanes if lane.member.checkpoint_due(seconds)]
        for member in due:
            member.save()
        if due:
            self.saved = time.perf_counter()

    def _let_go(self, lane: Lane, error: ConsortError | None) -> None:
        self.lanes.remove(lane)
        self.leaving.append((lane, error))

    def _tell_who_left(self) -> None:
        for lane, error in self.leaving:
            lane.member.state.drop_gradients()
            self.ended(lane.member, error)
        self.leaving.clear()

    def _adapt(self, seconds: float) -> None:
        if seconds < SHORT_SECONDS:
            self.block_steps = min(MOST_STEPS, 2 * self.block_steps)
        elif seconds > LONG_SECONDS:
            self.block_steps = max(1, self.block_steps // 2)
