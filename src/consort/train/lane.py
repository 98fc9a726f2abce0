"""One member's place in a pack: what its steps read and write on the device, sent ahead block by block."""

import torch
from torch import Tensor

from consort.data.batches import CHOICES
from consort.data.resident import Resident
from consort.train.member import Member

MOST_STEPS = 512
"""In a block."""


class Lane:
    """A block is a number of steps. What they draw and their learning rates are sent to the device before it, and their
    losses are read after it; within it a step needs nothing from outside, and counts for itself which one it is."""

    def __init__(self, member: Member, resident: Resident) -> None:
        self.member, self.resident = member, resident
        self.device = member.compute.device
        member.batches.crops(self.device)  # its tables are there before a step is captured
        pinned = self.device.type == "cuda"
        shape = MOST_STEPS, CHOICES, member.recipe.batch_size
        # Of the next block while this one's may still be under way to the device.
        self.ahead = [torch.empty(shape, dtype=torch.int64, pin_memory=pinned) for _ in range(2)]
        self.paces_ahead = [torch.empty(MOST_STEPS, 2, pin_memory=pinned) for _ in range(2)]
        self.choices = torch.zeros(shape, dtype=torch.int64, device=self.device)
        self.paces = torch.zeros(MOST_STEPS, 2, device=self.device)
        self.losses = torch.zeros(MOST_STEPS, device=self.device)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.places = torch.arange(MOST_STEPS, device=self.device)

    def draw(self, place: int, step: int) -> None:
        """Prepare step `step` as number `place` of the next block."""
        self.ahead[0][place] = torch.from_numpy(self.member.batches.choices(step))
        self.paces_ahead[0][place] = torch.tensor(self.member.pace_of(step))

    def send(self, steps: int) -> None:
        """Begin the next block: what was drawn for it goes to the device, behind all work that was given to it."""
        self.choices[:steps].copy_(self.ahead[0][:steps], non_blocking=True)
        self.paces[:steps].copy_(self.paces_ahead[0][:steps], non_blocking=True)
        self.place.zero_()
        self.ahead.reverse()
        self.paces_ahead.reverse()

    def step(self) -> None:
        """The block's next step; on a GPU nothing in it waits for the processor, so it can be captured."""
        member = self.member
        if member.state.pace is not None:
            torch.index_select(self.paces, 0, self.place, out=member.state.pace[None])
        choices = self.choices.index_select(0, self.place)[0]
        loss = member.state.update(*member.batches.assemble(self.resident.images, self.resident.labels, choices))
        torch.where(self.places == self.place, loss, self.losses, out=self.losses)
        self.place.add_(1)

    def eager_step(self, step: int) -> None:
        """The same where nothing is captured: the processor may seed dropout, and set the rate."""
        self.member.seed_step(step)
        if self.member.state.pace is None:  # else the step takes it from the block
            self.member.state.set_pace(*self.member.pace_of(step))
        self.step()

    def read(self, count: int) -> list[float]:
        """The losses of the block's first `count` steps, when they are done."""
        return self.losses[:count].tolist()

    def copied(self) -> dict[str, Tensor]:
        """A copy of all that a step changes in the member."""
        return {name: t.detach().clone() for name, t in self.member.state.tensors().items()}

    def put_back(self, tensors: dict[str, Tensor]) -> None:
        """Undo all steps since `copied`, and those of the block."""
        self.member.state.load(tensors)
        self.place.zero_()
