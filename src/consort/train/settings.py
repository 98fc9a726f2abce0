"""How members are trained, apart from what they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consort.train.process import Process


@dataclass
class Settings:
    """How to execute; nothing here changes what the member is."""

    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    loader_workers: int = 0
    process: Process = field(default_factory=Process)
    stop: Callable[[], bool] = lambda: False
    """Asked after every step; true saves a checkpoint and raises Terminated."""
    patience_seconds: float = 0.0
    """To wait for another process that trains this member: one that died keeps its lock for a while."""
    after_epoch: Callable[[int, float], Any] | None = None
    """Called with the epoch (from 1) and the validation accuracy after it; what it raises ends the training, its state
    saved. None saves predicting the validation images. For a member of one process."""
    members_per_gpu: int | None = None
    """That train side by side; by default as many as fill the chip."""
    deterministic: bool | None = None
    """Bits that are equal after any interruption on the same hardware and versions. None: on CPUs, where it costs
    nothing; on GPUs, where it does, if asked for."""
    compile: bool = False
    """torch.compile, where a C compiler is at hand."""
