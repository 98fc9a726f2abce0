"""Where a process stands among those that train one member together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    rank: int = 0
    processes: int = 1
    local_rank: int = 0
