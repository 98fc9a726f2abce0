"""Train one member: one readable loop from its specification to its weights and logits in the store."""

import copy
import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from consort import hardware, members
from consort.costs.macs import count
from consort.data.batches import TrainingBatches
from consort.data.prepared import Prepared
from consort.ensembles.metrics import accuracy
from consort.errors import Busy, MemberFailed, Stopped, Terminated
from consort.events import Listener, Progressed, Resumed, Saved, WaitsForLock, Warned, unheard
from consort.members import history
from consort.members.history import History
from consort.members.logits import write_logits
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.batch_norm import share_statistics
from consort.models.families import build
from consort.models.forward import predict_logits
from consort.models.input_size import input_size, network_input
from consort.store import Store, keys
from consort.train import checkpoint
from consort.train.checkpoint import Checkpoint
from consort.train.process import Process
from consort.train.schedule import average_decay, learning_rate

PROGRESS_SECONDS = 1.0
BUSY_SECONDS = 3.0
"""Between two attempts to take a member's lock."""


@dataclass
class Settings:
    """How to execute; nothing here changes what the member is."""

    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    loader_workers: int = 0
    process: Process = dataclasses.field(default_factory=Process)
    stop: Callable[[], bool] = lambda: False
    """Asked after every step; true saves a checkpoint and raises Terminated."""
    patience_seconds: float = 0.0
    """To wait for another process that trains this member: one that died keeps its lock for a while."""
    after_epoch: Callable[[int, float], Any] | None = None
    """Called with the epoch (from 1) and the validation accuracy after it; what it raises ends the training, its state
    saved. None saves predicting the validation images. For a member of one process."""


def train(store: Store, spec: MemberSpec, data: Prepared, settings: Settings, listen: Listener) -> MemberRecord:
    """Train a member, or go on where its newest checkpoint is; returns its record, at once where it is done.

    Raises MemberFailed when the loss is not finite, Terminated when `settings.stop` asked for it, and Busy when
    another process trains this member.
    """
    first = settings.process.rank == 0
    with ExitStack() as held:
        if first:
            _take_lock(held, store, spec.id, settings, listen)
        done = members.read_record(store, spec.id)
        if done is not None:
            return done
        training = Training(store, spec, data, settings, listen)
        try:
            training.run()
            return training.finish() if first else training.record({}, 0.0)
        except MemberFailed as e:
            if first:
                members.write_failure(store, spec.id, str(e))
                checkpoint.discard(store, spec.id)
            raise


def _take_lock(held: ExitStack, store: Store, member_id: str, settings: Settings, listen: Listener) -> None:
    """Hold the member's lock until `held` is closed; raises Busy where another holds it beyond the patience."""
    deadline = time.monotonic() + settings.patience_seconds
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


class Training:
    """The state of one training: network, optimiser, average, counters."""

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
        self.compute = compute.choose(self.counters.get("precision", self.recipe.precision), self.process.local_rank)
        self.counters["precision"] = self.compute.precision
        self.input_size = input_size(spec, data)
        torch.manual_seed(spec.seed)
        self.network = self.compute.place(build(spec.architecture, len(data.classes)))
        self.average = _copy(self.network) if self.recipe.ema else None
        self.parallel: nn.Module = self.network
        if self.process.processes > 1:
            self.network = share_statistics(self.network)
            self.parallel = DistributedDataParallel(self.network)
        self.optimiser = _optimiser(self.network, self.recipe.weight_decay, self.recipe.momentum)
        self.batches = TrainingBatches(data, self.recipe, spec.seed, self.input_size, self.compute.device,
                                       self.process.rank, self.process.processes)
        self.steps = self.batches.steps_per_epoch * self.recipe.epochs
        self.step = 0
        if restored:
            self._restore(restored)

    def run(self) -> None:
        """The loop, from `self.step` to the last step."""
        self.network.train()
        started, started_cpu, started_step = time.perf_counter(), time.process_time(), self.step
        before = self.counters["seconds"], self.counters["cpu_seconds"]
        saved, reported = started, started - PROGRESS_SECONDS
        for x, y in self.batches.from_step(self.step, self.steps, self.settings.loader_workers):
            loss = self.update(x, y)
            self.step += 1
            now = time.perf_counter()
            self.counters.update(seconds=before[0] + now - started,
                                 cpu_seconds=before[1] + time.process_time() - started_cpu)
            if not np.isfinite(loss):
                raise self._diverged(f"the loss became {loss}")
            self.counters["loss"] = loss
            self.history.add(loss)
            if now - reported >= PROGRESS_SECONDS:
                reported = now
                self._tell_progress((self.step - started_step) / (now - started))
            if self.step % self.batches.steps_per_epoch == 0:
                self._end_epoch()
            if self._agreed(self.settings.stop()):
                self._save()
                raise Terminated(f"member {self.spec.id} was asked to stop; its state at step {self.step} is saved.")
            if self.step < self.steps and self._agreed(self._checkpoint_due(now - saved)):
                self._save()
                saved = time.perf_counter()

    def _diverged(self, what: str) -> MemberFailed:
        return MemberFailed(f"member {self.spec.id}: {what} at step {self.step} of {self.steps}, with learning rate "
                            f"{self._rate(self.step - 1):.4g}. Lower [recipe] learning_rate; a retry would end the "
                            "same way.")

    def _end_epoch(self) -> None:
        """Note how the epoch went, and say how good the member is by now where that is asked for."""
        epoch = self.step // self.batches.steps_per_epoch
        self.history.end_epoch(epoch, self.step, self._rate(self.step - 1), self.counters["seconds"],
                               self.recipe.batch_size)
        if self.settings.after_epoch is None:
            return
        # Predicting changes a network, so a copy does it.
        reached = self._val_accuracy(_copy(self.network if self.average is None else self.average))
        self.history.judge(reached)
        try:
            self.settings.after_epoch(epoch, reached)
        except Stopped:
            self._save()
            raise

    def _val_accuracy(self, network: nn.Module) -> float:
        return accuracy(self._predict(network, "val"), self.data.labels("val"))

    def _predict(self, network: nn.Module, split: str) -> np.ndarray:
        return predict_logits(network, self.data, split, self.input_size, self.compute, self.settings.loader_workers)

    def update(self, x: Tensor, y: Tensor) -> float:
        """One step of Nesterov SGD on one batch; returns the loss."""
        # Dropout and stochastic depth draw from the global generator: seeding it by the step makes them resumable.
        place = np.random.SeedSequence((self.spec.seed, self.process.rank, self.step))
        torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))
        rate = self._rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with self.compute.autocast():
            scores = self.parallel(x)
        loss = F.cross_entropy(scores.float(), y, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.average is not None:
            _move_towards(self.average, self.network, 1 - average_decay(self.recipe, self.step))
        return self._mean(loss.detach())

    def _mean(self, loss: Tensor) -> float:
        """The loss over the global batch, so that every process stops where it is not finite."""
        if self.process.processes > 1:
            dist.all_reduce(loss)
            loss = loss / self.process.processes
        return loss.item()

    def _rate(self, step: int) -> float:
        return learning_rate(self.recipe, step, self.steps)

    def _tell_progress(self, steps_per_second: float) -> None:
        self.listen(Progressed(
            self.spec.id, epoch=round(self.step / self.batches.steps_per_epoch, 2), epochs=self.recipe.epochs,
            step=self.step, steps=self.steps, loss=self.counters["loss"],
            images_per_second=round(steps_per_second * self.recipe.batch_size, 1),
            seconds_left=round((self.steps - self.step) / steps_per_second, 1)))

    def _checkpoint_due(self, seconds: float) -> bool:
        every = self.settings.checkpoint_steps
        return seconds >= self.settings.checkpoint_seconds or (every is not None and self.step % every == 0)

    def _agreed(self, wish: bool) -> bool:
        """True on every process as soon as one wishes it, so that all leave the loop after the same step."""
        if self.process.processes == 1:
            return wish
        votes = torch.tensor([float(wish)], device=self.compute.device)
        dist.all_reduce(votes)
        return bool(votes.item() > 0)

    def _save(self) -> None:
        if self.process.rank == 0:
            tensors = {f"model.{name}": t for name, t in self.network.state_dict().items()}
            for name, parameter in self.network.named_parameters():
                buffer = self.optimiser.state[parameter].get("momentum_buffer")
                if buffer is not None:
                    tensors[f"momentum.{name}"] = buffer
            if self.average is not None:
                tensors |= {f"ema.{name}": t for name, t in self.average.state_dict().items()}
            plain = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
            checkpoint.save(self.store, self.spec.id, Checkpoint(self.step, plain, {
                **self.counters, "history": self.history.state()}))
            self.listen(Saved(self.spec.id, self.step))

    def _restore(self, restored: Checkpoint) -> None:
        self.network.load_state_dict(_under(restored.tensors, "model."))
        momentum = _under(restored.tensors, "momentum.")
        for name, parameter in self.network.named_parameters():
            if name in momentum:
                buffer = torch.empty_like(parameter)
                self.optimiser.state[parameter]["momentum_buffer"] = buffer.copy_(momentum[name])
        if self.average is not None:
            self.average.load_state_dict(_under(restored.tensors, "ema."))
        self.step = restored.step
        self.listen(Resumed(self.spec.id, self.step, self.steps))

    def finish(self) -> MemberRecord:
        """Predict validation and test, and write the member; its record last.

        Raises MemberFailed where the weights or the predictions are not finite: the last update has no loss after it
        that would show.
        """
        network = self.network if self.average is None else self.average
        logits = {split: self._predict(network, split) for split in ("val", "test")}
        state = {name: t.detach().contiguous().cpu() for name, t in network.state_dict().items()}
        if not all(t.isfinite().all() for t in state.values()):
            raise self._diverged("weights became infinite or NaN")
        if not all(np.isfinite(array).all() for array in logits.values()):
            raise self._diverged("predictions became infinite or NaN")
        val_accuracy = accuracy(logits["val"], self.data.labels("val"))
        self.history.judge(val_accuracy)
        files = write_logits(self.store, self.spec.id, logits)
        files |= members.write_files(self.store, self.spec.id, {
            "weights.safetensors": safetensors.torch.save(state), history.FILE: self.history.parquet()})
        record = self.record(files, val_accuracy)
        if self.average is not None:
            record = self._beside_last_weights(record, val_accuracy)
        members.write_record(self.store, record)
        checkpoint.discard(self.store, self.spec.id)
        self.store.delete(keys.member_setback(self.spec.id))
        return record

    def _beside_last_weights(self, record: MemberRecord, val_accuracy: float) -> MemberRecord:
        """The record with what the weights would have reached that the member is the average of."""
        last = self._val_accuracy(self.network)
        if val_accuracy < last:
            self.listen(Warned(self.spec.id, (
                f"the average of the weights is right on {val_accuracy:.1%} of the validation images, the last weights "
                f"on {last:.1%}: with {self.steps} steps, a lower [recipe] ema than {self.recipe.ema:g} or none may "
                "serve better")))
        return dataclasses.replace(record, last_val_accuracy=last)

    def record(self, files: dict[str, dict], val_accuracy: float) -> MemberRecord:
        """The member's record."""
        cost = count(self.spec.architecture, network_input(self.spec, self.data), len(self.data.classes))
        images = self.steps * self.recipe.batch_size
        return MemberRecord(
            id=self.spec.id, architecture=self.spec.architecture, data=self.spec.data,
            recipe=self.recipe.model_dump(mode="json"), seed=self.spec.seed, files=files, macs=cost.macs,
            params=cost.params, input=cost.input, val_accuracy=val_accuracy, precision=self.compute.precision,
            train_images=images, train_macs=3 * cost.macs * images, train_seconds=round(self.counters["seconds"], 2),
            train_cpu_seconds=round(self.counters["cpu_seconds"], 2), train_loss=self.counters["loss"],
            images_per_second=self.history.images_per_second, attempts=self.counters["attempts"],
            processes=self.process.processes, hardware=hardware.describe(), versions=hardware.versions(),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"))


def _optimiser(network: nn.Module, weight_decay: float, momentum: float) -> torch.optim.SGD:
    """Nesterov SGD without weight decay on vectors: the parameters of normalisation layers, and biases."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=momentum > 0, fused=True)


def _copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def _move_towards(average: nn.Module, network: nn.Module, share: float) -> None:
    """average += share x (network - average), for weights; statistics of normalisation layers are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)
    for kept, new in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(new)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
