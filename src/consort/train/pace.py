"""How fast a training goes, without the first seconds that tune and build."""

import time

PROGRESS_SECONDS = 1.0


class Pace:
    """The seconds that a member has taken, over all its attempts, and the steps per second of this one."""

    def __init__(self, seconds: float, cpu_seconds: float) -> None:
        self.before = seconds, cpu_seconds
        self.began = time.perf_counter(), time.process_time()
        self.measured_from: tuple[int, float] | None = None
        self.told = 0.0

    def spent(self, side_by_side: int) -> tuple[float, float]:
        """(seconds, this member's share of the processor seconds) until now."""
        return (self.before[0] + time.perf_counter() - self.began[0],
                self.before[1] + (time.process_time() - self.began[1]) / side_by_side)

    def to_tell(self, step: int) -> float | None:
        """The steps per second, where it is time to tell them: once a second.

        They are counted from the first call on: what came before was tuning.
        """
        now = time.perf_counter()
        if self.measured_from is None:
            self.measured_from, self.told = (step, now), now
            return None
        if now - self.told < PROGRESS_SECONDS:
            return None
        self.told = now
        first, since = self.measured_from
        return (step - first) / (now - since)
