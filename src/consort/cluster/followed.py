"""A job that is followed: which members it has to bring to their ends, and what is known of its pods."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consort.kube.status import PodStatus, pod_status

HOPELESS_ENDS = ("OOMKilled", "StartError", "ContainerCannotRun")
"""The operator starts such a pod again and again, and each ends the same way."""
STUCK_SECONDS = 120.0
"""A pod that cannot start for this long (its image cannot be pulled, a Secret is missing) is given up."""
SILENCE_SECONDS = 600.0
"""After its deadline, a job that has not ended is given up when this has passed too."""


@dataclass
class Followed:
    """A job that was created or adopted."""

    members: list[str]
    """Those that are wanted of it."""
    since: float
    clearing: bool = False
    """An ended job is being deleted; its successor is created when it has gone."""
    job_uid: str = ""
    in_job: int = 1
    """How many members it trains, those that are done, or that only others want, included."""
    has_others: bool = False
    """Whether members are in the job that only other launchers want, and that were not at their ends."""
    left: list[str] = field(init=False)
    """The wanted members whose end is not known yet."""
    error: str = ""
    """What its step said of itself before it ended."""
    ends: dict[str, str] = field(default_factory=dict)
    """What the step said of members that it could not bring to their end."""
    failed: bool = False
    """Whether one of its members ended without being done, as far as this launcher knows."""
    pod: dict | None = None
    """Its newest pod, as it was last seen."""
    has_pod: bool = False
    pods: list[str] = field(default_factory=list)
    """Uids of the pods that lead it, in order: each after the first is a restart."""
    hopeless: set[str] = field(default_factory=set)
    """Uids of pods that ended in a way that the next ones will too."""
    stuck: str = ""
    """What keeps the pod from starting now."""
    stuck_since: float | None = None
    """Since when that is something that waiting does not help against."""
    warned: set[str] = field(default_factory=set)
    suspended: bool = False
    """Whether a queue holds the job back: nothing of it runs, and the operator does not count its deadline."""

    def __post_init__(self) -> None:
        self.left = list(self.members)

    def note_pod(self, pod: dict, status: PodStatus, now: float) -> bool:
        """How the pod that leads it is; whether that is another one than before. now: of the monotonic clock."""
        uid = pod["metadata"]["uid"]
        self.pod, self.has_pod, self.stuck = pod, True, status.stuck or ""
        cannot_start = bool(self.stuck) and not self.stuck.startswith("Unschedulable")  # a node may still join
        self.stuck_since = (self.stuck_since or now) if cannot_start else None
        if status.reason in HOPELESS_ENDS:
            self.hopeless.add(uid)
        if uid in self.pods:
            return False
        self.pods.append(uid)
        self.error, self.ends = "", {}
        return True

    def lose_pod(self) -> None:
        """The pod that leads it is gone."""
        self.stuck, self.stuck_since, self.has_pod = "", None, False

    def overdue(self, job: str, now: float, deadline_seconds: float) -> str:
        """Why the job of this name is waited for no longer; empty while it is. now: of the monotonic clock."""
        if self.stuck_since is not None and now - self.stuck_since > STUCK_SECONDS:
            return f"its pod could not start: {self.stuck}"
        if now - self.since > deadline_seconds + SILENCE_SECONDS:
            return (f"its job {job} neither ended nor failed within its deadline of {deadline_seconds:.0f} s. "
                    + (self.stuck or "Does the Training Operator run?"))
        return ""

    def awaited(self) -> str:
        """What the job waits for, in words."""
        if self.clearing:
            return "of an earlier attempt being removed"
        if self.suspended:
            return "held back by a queue"
        if self.pod is None or not self.has_pod:
            return "without a pod (does the Training Operator run, or is it busy?)"
        if self.stuck:
            return f"whose pod cannot start ({self.stuck.partition(':')[0]})"
        phase = pod_status(self.pod).phase
        return {"Pending": "whose pod is about to start", "Running": "whose pod says nothing (is its node away?)"}.get(
            phase, "whose pod has ended, and which the Training Operator has not ended yet")


def in_jobs(followed: Iterable[Followed]) -> int:
    """How many of the wanted members have a job."""
    return sum(len(one.members) for one in followed)
