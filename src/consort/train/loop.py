"""The loop of one member, step by step: on CPUs, and wherever several processes or a loader take part.

On one GPU `pack` does the same with members side by side; what a member becomes there is held to this loop.
"""

import time

import torch.distributed as dist
from torch import Tensor

from consort.train.member import Member

READ_SECONDS = 1.0
"""On a GPU losses are read this often: reading one waits for all work to be done."""


def run(member: Member) -> None:
    """Train from `member.step` to the last step. Raises MemberFailed when the loss is not finite, and Terminated when
    `settings.stop` asked for it."""
    settings, state = member.settings, member.state
    processes, at_once = member.process.processes, member.compute.device.type == "cpu" or member.process.processes > 1
    state.network.train()
    saved = read = time.perf_counter()
    unread: list[Tensor] = []
    for x, y in member.batches.from_step(member.step, member.steps, settings.loader_workers):
        step = member.step + len(unread)
        member.seed_step(step)
        state.set_pace(*member.pace_of(step))
        unread.append(_mean(state.update(x, y), processes))
        stopping = settings.stop()
        now = time.perf_counter()
        if not (at_once or stopping or now - read >= READ_SECONDS or step + 1 == member.next_halt(member.step)):
            continue
        member.note([loss.item() for loss in unread])
        read = now
        unread.clear()
        if member.to_judge():
            member.judge()
        if member.agreed(stopping):
            raise member.terminated()
        if member.agreed(member.checkpoint_due(now - saved)):
            member.save()
            saved = time.perf_counter()


def _mean(loss: Tensor, processes: int) -> Tensor:
    """The loss over the global batch, so that every process stops where it is not finite."""
    if processes > 1:
        dist.all_reduce(loss)
        loss = loss / processes
    return loss
