"""Several processes train one member: the same result as one process up to rounding."""

import multiprocessing
import os
import signal
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from small_members import (
    BASE,
    LONG,
    LONG_STEPS,
    PATIENCE_SECONDS,
    World,
    consort,
    events_of,
    is_event,
    lines_until,
    processes_with,
    start,
    train_quietly,
)
from torch import Tensor, nn

from consort import members
from consort.members.spec import MemberSpec
from consort.models.batch_norm import GlobalBatchNorm2d, share_statistics
from consort.train import checkpoint

PROCESSES = 2
EXACT = BASE | {"precision": "float32", "learning_rate": 0.02, "epochs": 2}
TOLERANCE = 2e-3
"""On logits of size 1 to 10. Sums of float32 in another order differ by 1e-7 of their size; a training multiplies that
with every step."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_torchrun(world: World, spec: MemberSpec, *arguments: str) -> subprocess.Popen[str]:
    """The double dash keeps torchrun from reading --log as an abbreviation of its own options."""
    return start("--nproc-per-node", str(PROCESSES), "--master-addr", "127.0.0.1", "--master-port", str(free_port()),
                 "-m", "--", "consort", "train", "--member", spec.id, "--store", world.store.uri, "--log", "json",
                 *arguments, module="torch.distributed.run")


def test_two_processes_give_the_result_of_one(new_world) -> None:
    one, two = new_world(), new_world()
    spec = one.spec(EXACT)
    train_quietly(one, spec)
    members.write_specs(two.store, [spec])
    process = start_torchrun(two, spec)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    assert len([line for line in out.splitlines() if is_event("finished")(line)]) == 1
    assert (one.record(spec).processes, two.record(spec).processes) == (1, PROCESSES)
    assert two.record(spec).train_loss == pytest.approx(one.record(spec).train_loss, abs=TOLERANCE)
    for split in ("val", "test"):
        np.testing.assert_allclose(two.logits(spec, split), one.logits(spec, split), rtol=0, atol=TOLERANCE)
    assert np.abs(one.logits(spec, "test")).max() > 100 * TOLERANCE


def test_a_batch_that_cannot_be_shared_equally_is_refused(world: World) -> None:
    spec = world.spec(EXACT | {"batch_size": 31})
    process = start_torchrun(world, spec)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "batch_size must be a multiple of the number of processes, got 31 and 2" in out
    assert '"exit_code":2' in out
    assert "exitcode  : 2 " in errors  # torchrun's own report of the process that failed first


def test_sigterm_to_all_saves_and_one_process_goes_on(world: World) -> None:
    spec = world.spec(LONG | {"precision": "float32"})
    process = start_torchrun(world, spec, "--checkpoint-steps", "5")
    lines_until(process, is_event("checkpoint"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert members.read_record(world.store, spec.id) is None
    saved = checkpoint.newest(world.store, spec.id, print)
    assert saved is not None and saved.step >= 5
    record, events = train_quietly(world, spec)
    assert events[1] == {"event": "resumed", "member": spec.id, "step": saved.step, "steps": LONG_STEPS}
    assert (record.attempts, record.processes) == (2, 1)
    assert record.val_accuracy is not None and record.val_accuracy > 0.5


def start_together(world: World, spec: MemberSpec, *arguments: str) -> subprocess.Popen[str]:
    """Two processes under `consort train --torchrun`."""
    return start("train", "--torchrun", "--processes", str(PROCESSES), "--member", spec.id, "--store",
                 world.store.uri, "--log", "json", *arguments)


def process_of_rank(spec: MemberSpec, rank: int) -> int:
    """The process id; torchrun tells each process its rank in its environment."""
    (found,) = [pid for pid, _ in processes_with(spec.id)
                if f"RANK={rank}" in Path(f"/proc/{pid}/environ").read_text().split("\0")]
    return found


def test_a_lost_process_exits_with_175_and_the_rerun_is_bit_identical(new_world) -> None:
    whole, broken = new_world(), new_world()
    spec = whole.spec(BASE | {"epochs": 8, "precision": "float32"})
    members.write_specs(broken.store, [spec])
    done = consort("train", "--torchrun", "--processes", "2", "--member", spec.id, "--store", whole.store.uri)
    assert done.returncode == 0, done.stderr
    process = start_together(broken, spec, "--checkpoint-steps", "5")
    lines_until(process, is_event("checkpoint"))
    os.kill(process_of_rank(spec, 1), signal.SIGKILL)
    rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 175, errors
    error = events_of(rest)[-1]
    assert (error["event"], error["kind"], error["exit_code"]) == ("error", "PeerLost", 175)
    assert list(processes_with(spec.id)) == []
    rest, errors = start_together(broken, spec).communicate(timeout=PATIENCE_SECONDS)
    events = events_of(rest)
    assert [e["event"] for e in events if e["event"] in ("resumed", "finished")] == ["resumed", "finished"], errors
    assert broken.files(spec) == whole.files(spec)
    assert (broken.record(spec).processes, broken.record(spec).attempts) == (PROCESSES, 2)


def test_torchrun_passes_on_signals_and_exit_codes(world: World) -> None:
    spec = world.spec(LONG | {"precision": "float32"})
    process = start_together(world, spec, "--checkpoint-steps", "5")
    lines_until(process, is_event("checkpoint"))
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    saved, error = events_of(rest)[-2:]
    assert process.returncode == 143, errors
    assert (saved["event"], error["kind"], error["exit_code"]) == ("checkpoint", "Terminated", 143)
    assert f"step {saved['step']} is saved" in error["text"]
    for recipe, code, kind, text in ((BASE | {"learning_rate": 1e12}, 3, "MemberFailed", "the loss became"),
                                     (BASE | {"batch_size": 31}, 2, "InputError", "a multiple of the number")):
        process = start_together(world, world.spec(recipe))
        (error,) = [e for e in events_of(process.communicate(timeout=PATIENCE_SECONDS)[0]) if e["event"] == "error"]
        assert (process.returncode, error["exit_code"], error["kind"]) == (code, code, kind)
        assert text in error["text"]


def whole_batch() -> tuple[Tensor, Tensor]:
    """Two batches [2, 8, 3, 4, 5], and the gradients that reach their results."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 3, 4, 5, generator=random) * torch.tensor([0.1, 1, 5]).view(3, 1, 1) + 2
    return x, torch.randn(2, 8, 3, 4, 5, generator=random)


def normalisation() -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
    return layer


def through(layer: nn.BatchNorm2d, batches: Tensor, gradients: Tensor) -> dict[str, np.ndarray]:
    """What comes out of a layer that sees the batches one after the other, and then evaluates."""
    x = batches.clone().requires_grad_()
    y = torch.stack([layer(batch) for batch in x])
    (y * gradients).sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None and x.grad is not None
    found = {"y": y, "x.grad": x.grad, "weight.grad": layer.weight.grad, "bias.grad": layer.bias.grad,
             **dict(layer.named_buffers()), "evaluated": layer.eval()(batches[0])}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def one_share(rank: int, port: int, file: Path) -> None:
    """Rank `rank` of two: every second image."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=PROCESSES)
    try:
        layer = share_statistics(normalisation())
        assert type(layer) is GlobalBatchNorm2d
        x, gradients = whole_batch()
        np.savez(file, **through(layer, x[:, rank::PROCESSES], gradients[:, rank::PROCESSES]))
    finally:
        dist.destroy_process_group()


def test_statistics_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    port, files = free_port(), [tmp_path / f"{rank}.npz" for rank in range(PROCESSES)]
    other = multiprocessing.get_context("spawn").Process(target=one_share, args=(1, port, files[1]), daemon=True)
    other.start()
    one_share(0, port, files[0])
    other.join(PATIENCE_SECONDS)
    assert other.exitcode == 0
    parts = [dict(np.load(file)) for file in files]
    expected = through(normalisation(), *whole_batch())
    assert expected["num_batches_tracked"] == 2
    for name, whole in expected.items():
        for rank, part in enumerate(parts):
            if name in ("y", "x.grad"):
                wanted, got = whole[:, rank::PROCESSES], part[name]
            elif name == "evaluated":
                wanted, got = whole[rank::PROCESSES], part[name]
            elif name.endswith(".grad"):  # DistributedDataParallel adds them up
                wanted, got = whole, sum(p[name] for p in parts)
            else:
                wanted, got = whole, part[name]
            atol = 1e-4 * np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=0, atol=atol, err_msg=f"{name} of rank {rank}")
