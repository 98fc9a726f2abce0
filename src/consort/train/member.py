"""One member while it trains: its lock, its state with what it resumes from, and the record that it ends with."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.distributed as dist
from torch import nn

from consort import hardware, members
from consort.costs.macs import count
from consort.data.batches import TrainingBatches
from consort.data.prepared import Prepared
from consort.ensembles.metrics import accuracy
from consort.errors import Busy, ConsortError, MemberFailed, Stopped, Terminated
from consort.events import Listener, Progressed, Resumed, Saved, WaitsForLock, Warned, unheard
from consort.members import history
from consort.members.history import History
from consort.members.logits import write_logits
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.forward import predict_logits
from consort.models.input_size import input_size, network_input
from consort.store import Store, keys
from consort.train import checkpoint
from consort.train.checkpoint import Checkpoint
from consort.train.number_format import format_of
from consort.train.pace import Pace
from consort.train.schedule import average_decay, learning_rate
from consort.train.settings import Settings
from consort.train.state import State, copy_of

BUSY_SECONDS = 3.0
"""Between two attempts to take a member's lock."""


def take_lock(held: ExitStack, store: Store, member_id: str, settings: Settings, deadline: float,
              listen: Listener) -> None:
    """Hold the member's lock until `held` is closed; raises Busy where another holds it beyond the deadline, a moment
    of the monotonic clock."""
    while True:
        try:
            held.enter_context(store.lock(keys.member_lock(member_id)))
            return
        except Busy as e:
            if time.monotonic() >= deadline:
                raise
            listen(WaitsForLock(member_id, str(e)))
        if settings.stop():
            raise Terminated(f"member {member_id} was asked to stop before it began.")
        time.sleep(BUSY_SECONDS)


class Member:
    """One member that trains: what it is, its state, its counters, and the files that it writes."""

    def __init__(self, store: Store, spec: MemberSpec, data: Prepared, settings: Settings, listen: Listener) -> None:
        self.store, self.spec, self.data, self.settings = store, spec, data, settings
        self.listen: Listener = listen if settings.process.rank == 0 else unheard
        self.recipe, self.process = spec.recipe, settings.process
        restored = checkpoint.newest(store, spec.id, lambda text: self.listen(Warned(spec.id, text)))
        self.counters: dict[str, Any] = {"attempts": 0, "seconds": 0.0, "cpu_seconds": 0.0, "loss": None}
        self.counters.update(restored.counters if restored else {})
        self.counters["attempts"] += 1
        self.history = History(self.counters.pop("history", None))
        # A resumed training keeps the number format that it was started in.
        precision = self.counters.get("precision") or format_of(store, spec, data)
        self.compute = compute.choose(precision, self.process.local_rank)
        self.counters["precision"] = self.compute.precision
        self.input_size = input_size(spec, data)
        self.state = State(spec, len(data.classes), self.compute, self.process.processes, self._compiled())
        self.batches = TrainingBatches(data, self.recipe, spec.seed, self.input_size, self.compute.device,
                                       self.process.rank, self.process.processes)
        self.steps = self.batches.steps_per_epoch * self.recipe.epochs
        self.step = 0
        self.side_by_side = self.in_step = 1  # members of its pack as it began, and as it is
        self._note_machine()
        if restored:
            self.state.load(restored.tensors)
            self.step = restored.step
            self.listen(Resumed(spec.id, self.step, self.steps))
        self.pace = Pace(self.counters["seconds"], self.counters["cpu_seconds"], self.step)

    def _compiled(self) -> bool:
        """Whether to compile: if asked for, and possible."""
        if not self.settings.compile:
            return False
        lacking = ("several processes train this member" if self.process.processes > 1
                   else compute.lacks_compiler(self.compute))
        if lacking:
            self.listen(Warned(self.spec.id, f"compile = true, but {lacking}: it trains without"))
        self.counters["compiled"] = not lacking
        return not lacking

    def _note_compiler(self) -> None:
        """Say it, and keep it for the record, where the first step could not be compiled."""
        if self.counters.get("compiled") and (error := self.state.compile_error):
            self.counters["compiled"] = False
            self.listen(Warned(self.spec.id, f"compile = true, but compiling failed ({error[:200]}): it trains "
                                             "without"))

    def _note_machine(self) -> None:
        """Remember on what the member trains; bits are the same only where all of it is."""
        here = compute.machine(self.compute)
        places = self.counters.setdefault("machines", [here])
        if places[-1] != here:
            differ = ", ".join(f"{name} {places[-1].get(name)} -> {value}" for name, value in here.items()
                               if places[-1].get(name) != value)
            self.listen(Warned(self.spec.id, (
                f"it goes on elsewhere than it began ({differ}): it may differ in rounding from one that nothing "
                "interrupted, and its record says so")))
            places.append(here)
        exact = compute.is_deterministic(self.compute, self.settings.deterministic)
        self.counters["deterministic"] = self.counters.get("deterministic", True) and exact

    def pace_of(self, step: int) -> tuple[float, float]:
        """The learning rate of a step, and what the average takes of the weights after it."""
        return learning_rate(self.recipe, step, self.steps), 1 - average_decay(self.recipe, step)

    def seed_step(self, step: int) -> None:
        """Dropout and stochastic depth draw from the global generator: seeding it by the step makes them resumable."""
        place = np.random.SeedSequence((self.spec.seed, self.process.rank, step))
        torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))

    def note(self, losses: Sequence[float] | np.ndarray) -> None:
        """Count steps that were done, with their losses; raises MemberFailed at the first that is not finite."""
        self._note_compiler()
        before, (seconds, cpu_seconds) = self.counters["seconds"], self.pace.spent(self.side_by_side)
        self.counters.update(seconds=seconds, cpu_seconds=cpu_seconds)
        for done, loss in enumerate(losses, 1):
            self.step += 1
            if not np.isfinite(loss):
                raise self._diverged(f"the loss became {loss}")
            self.counters["loss"] = float(loss)
            self.history.add(float(loss))
            if self.step % self.batches.steps_per_epoch == 0:
                self.history.end_epoch(self.step // self.batches.steps_per_epoch, self.step,
                                       self.pace_of(self.step - 1)[0], before + (seconds - before) * done / len(losses),
                                       self.recipe.batch_size)
        speed = self.pace.to_tell(self.step, self.step == self.steps)
        if speed is not None:
            self.listen(Progressed(
                self.spec.id, epoch=round(self.step / self.batches.steps_per_epoch, 2), epochs=self.recipe.epochs,
                step=self.step, steps=self.steps, loss=self.counters["loss"],
                images_per_second=round(speed * self.recipe.batch_size, 1),
                seconds_left=round((self.steps - self.step) / speed, 1), side_by_side=self.in_step))

    def next_halt(self, step: int) -> int:
        """The first step after `step` at which losses have to be read, whatever the time: a checkpoint, an epoch's end
        that somebody waits for, or the last."""
        halts = [self.steps]
        for every in (self.settings.checkpoint_steps,
                      self.batches.steps_per_epoch if self.settings.after_epoch is not None else None):
            if every is not None:
                halts.append((step // every + 1) * every)
        return min(halts)

    def to_judge(self) -> bool:
        """Whether an epoch ended now, and `settings.after_epoch` has to be told."""
        return self.settings.after_epoch is not None and self.step % self.batches.steps_per_epoch == 0

    def judge(self) -> None:
        """Say how good the member is by now."""
        assert self.settings.after_epoch is not None
        reached = self._val_accuracy(copy_of(self.state.result))  # predicting changes a network, so a copy does it
        self.history.judge(reached)
        try:
            self.settings.after_epoch(self.step // self.batches.steps_per_epoch, reached)
        except Stopped:
            self.save()
            raise

    def _val_accuracy(self, network: nn.Module) -> float:
        return accuracy(self._predict(network, "val"), self.data.labels("val"))

    def _predict(self, network: nn.Module, split: str) -> np.ndarray:
        return predict_logits(network, self.data, split, self.input_size, self.compute, self.settings.loader_workers)

    def _diverged(self, what: str) -> MemberFailed:
        return MemberFailed(f"member {self.spec.id}: {what} at step {self.step} of {self.steps}, with learning rate "
                            f"{self.pace_of(self.step - 1)[0]:.4g}. Lower [recipe] learning_rate; a retry would end "
                            "the same way.")

    def checkpoint_due(self, seconds: float) -> bool:
        """Whether to save now, so many seconds after the last time."""
        every = self.settings.checkpoint_steps
        return self.step < self.steps and (seconds >= self.settings.checkpoint_seconds
                                           or (every is not None and self.step % every == 0))

    def save(self) -> None:
        """Write a checkpoint, on the first process."""
        if self.process.rank == 0:
            plain = {name: t.detach().cpu().contiguous() for name, t in self.state.tensors().items()}
            checkpoint.save(self.store, self.spec.id, Checkpoint(self.step, plain, {
                **self.counters, "history": self.history.state()}))
            self.listen(Saved(self.spec.id, self.step))

    def terminated(self) -> Terminated:
        """Save, and say so."""
        self.save()
        return Terminated(f"member {self.spec.id} was asked to stop; its state at step {self.step} is saved.")

    def agreed(self, wish: bool) -> bool:
        """True on every process as soon as one wishes it, so that all leave the loop after the same step."""
        if self.process.processes == 1:
            return wish
        votes = torch.tensor([float(wish)], device=self.compute.device)
        dist.all_reduce(votes)
        return bool(votes.item() > 0)

    def failed(self, error: ConsortError) -> None:
        """Remember in the store why this member cannot be trained."""
        if isinstance(error, MemberFailed) and self.process.rank == 0:
            members.write_failure(self.store, self.spec.id, str(error))
            checkpoint.discard(self.store, self.spec.id)

    def finish(self) -> MemberRecord:
        """Predict validation and test, and write the member, its record last; what the first process wrote.

        Raises MemberFailed where the weights or the predictions are not finite: the last update has no loss after it
        that would show.
        """
        if self.process.rank > 0:
            return self.record({}, 0.0)
        network = self.state.result
        logits = {split: self._predict(network, split) for split in ("val", "test")}
        weights = {name: t.detach().contiguous().cpu() for name, t in network.state_dict().items()}
        if not all(t.isfinite().all() for t in weights.values()):
            raise self._diverged("weights became infinite or NaN")
        if not all(np.isfinite(array).all() for array in logits.values()):
            raise self._diverged("predictions became infinite or NaN")
        val_accuracy = accuracy(logits["val"], self.data.labels("val"))
        self.history.judge(val_accuracy)
        files = write_logits(self.store, self.spec.id, logits)
        files |= members.write_files(self.store, self.spec.id, {
            "weights.safetensors": safetensors.torch.save(weights), history.FILE: self.history.parquet()})
        record = self.record(files, val_accuracy)
        if self.state.average is not None:
            record = self._beside_last_weights(record, val_accuracy)
        members.write_record(self.store, record)
        checkpoint.discard(self.store, self.spec.id)
        self.store.delete(keys.member_setback(self.spec.id))
        return record

    def _beside_last_weights(self, record: MemberRecord, val_accuracy: float) -> MemberRecord:
        """The record with what the weights would have reached that the member is the average of."""
        last = self._val_accuracy(self.state.network)
        if val_accuracy < last:
            self.listen(Warned(self.spec.id, (
                f"the average of the weights is right on {val_accuracy:.1%} of the validation images, the last weights "
                f"on {last:.1%}: with {self.steps} steps, a lower [recipe] ema than {self.recipe.ema:g} or none may "
                "serve better")))
        return replace(record, last_val_accuracy=last)

    def record(self, files: dict[str, dict], val_accuracy: float) -> MemberRecord:
        """The member's record."""
        cost = count(self.spec.architecture, network_input(self.spec, self.data), len(self.data.classes))
        images, counted = self.steps * self.recipe.batch_size, self.counters
        return MemberRecord(
            id=self.spec.id, architecture=self.spec.architecture, data=self.spec.data,
            recipe=self.recipe.model_dump(mode="json"), seed=self.spec.seed, files=files, macs=cost.macs,
            params=cost.params, input=cost.input, val_accuracy=val_accuracy, precision=self.compute.precision,
            train_images=images, train_macs=3 * cost.macs * images, train_seconds=round(counted["seconds"], 2),
            train_cpu_seconds=round(counted["cpu_seconds"], 2), train_loss=counted["loss"],
            images_per_second=self.history.images_per_second, attempts=counted["attempts"],
            processes=self.process.processes, side_by_side=self.side_by_side,
            deterministic=counted["deterministic"], compiled=counted.get("compiled", False),
            machines=counted["machines"], hardware=hardware.describe(), versions=hardware.versions(),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
