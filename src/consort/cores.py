"""How many processor cores this process may use.

This file is part of every bundle, beside what uses it, and needs Python alone.
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where the system tells a container its limits."""


def cores() -> int:
    """The processor cores that this process may use: its affinity, and the container's CPU quota where there is one.

    Of a quota such as 1.5 CPUs the whole ones count, though at least 1: a thread more would be stopped for the rest of
    each period, and the others would wait for it.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def _cpu_quota() -> float | None:
    """CPUs that the container may use, as cgroup version 2 or 1 says it; None without a limit."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((CGROUP / name).read_text() for name in files).split()
            return int(quota) / int(period) if quota not in ("max", "-1") else None
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
