"""How fast a training goes, without the first seconds that tune and build."""

import time

PROGRESS_SECONDS = 1.0


class Pace:
    """The seconds that a member has taken, over all its attempts, and the steps per second of this one."""

    def __init__(self, seconds: float, cpu_seconds: float, step: int) -> None:
        self.before = seconds, cpu_seconds
        self.began = time.perf_counter(), time.process_time()
        self.measured_from = step, self.began[0]
        self.told: float | None = None

    def spent(self, side_by_side: int) -> tuple[float, float]:
        """(seconds, this member's share of the processor seconds) until now."""
        return (self.before[0] + time.perf_counter() - self.began[0],
                self.before[1] + (time.process_time() - self.began[1]) / side_by_side)

    def to_tell(self, step: int, last: bool) -> float | None:
        """The steps per second, where it is time to tell them: once a second, and in the end.

        They are counted from the first call on: what came before was tuning.
        """
        now = time.perf_counter()
        first, since = self.measured_from
        begins = self.told is None
        due = self.told is not None and now - self.told >= PROGRESS_SECONDS
        if begins:
            self.measured_from = step, now
        if begins or due:
            self.told = now
        return (step - first) / (now - since) if due or last else None
