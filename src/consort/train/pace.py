"""How fast a training goes, without the first seconds that tune and build."""

import time
from collections import deque

PROGRESS_SECONDS = 1.0
WINDOW_SECONDS = 20.0
"""A speed is that of the last seconds: members that leave a pack make the others faster."""


class Pace:
    """The seconds that a member has taken, over all its attempts, and the steps per second of this one."""

    def __init__(self, seconds: float, cpu_seconds: float, step: int) -> None:
        self.before = seconds, cpu_seconds
        self.began = time.perf_counter(), time.process_time()
        self.seen = deque([(step, self.began[0])])
        """Steps done at moments: the first that the window holds, and each that was told since."""
        self.told: float | None = None

    def spent(self, side_by_side: int) -> tuple[float, float]:
        """(seconds, this member's share of the processor seconds) until now."""
        return (self.before[0] + time.perf_counter() - self.began[0],
                self.before[1] + (time.process_time() - self.began[1]) / side_by_side)

    def begin_anew(self, step: int) -> None:
        """From here on the speed is another one: its pack is smaller, and was captured anew."""
        self.seen = deque([(step, time.perf_counter())])

    def to_tell(self, step: int, last: bool) -> float | None:
        """The steps per second, where it is time to tell them: once a second, and in the end.

        They are counted from the first call on: what came before was tuning.
        """
        now = time.perf_counter()
        while len(self.seen) > 1 and now - self.seen[1][1] >= WINDOW_SECONDS:
            self.seen.popleft()
        first, since = self.seen[0]
        begins = self.told is None
        due = self.told is not None and now - self.told >= PROGRESS_SECONDS
        if begins:
            self.seen.clear()
        if begins or due:
            self.seen.append((step, now))
            self.told = now
        return (step - first) / (now - since) if due or last else None
