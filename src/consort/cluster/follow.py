"""Everything that happens to a set of jobs, in one queue: changes of jobs and pods, and what the pods print."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from consort.errors import ConsortError
from consort.kube import names
from consort.kube.training import MEMBER_JOB

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

MAX_FOLLOWED_LOGS = 32
"""Pods whose logs are followed at once; of others the state is known, and the end of the log when they fail."""


@dataclass(frozen=True)
class Happening:
    """source is the kind of a changed object, "synced" (the first list of kind `name` is whole), "line" or "error"."""

    source: str
    name: str = ""
    """Of the object; of the pod, for lines."""
    type: str = ""
    object: Any = None


class Feed:
    """Threads that watch objects (kind -> label selector) and follow logs; `next` takes what they found."""

    def __init__(self, api: "KubernetesApi", watched: Mapping[str, str]) -> None:
        self.api, self.watched = api, watched
        self.happenings: queue.Queue[Happening] = queue.Queue()
        self.stopped = threading.Event()
        self.followed: set[str] = set()
        self.free_logs = threading.Semaphore(MAX_FOLLOWED_LOGS)

    def start(self) -> None:
        for kind, selector in self.watched.items():
            self._thread(partial(self._watch, kind, selector))

    def next(self, seconds: float) -> Happening | None:
        """The next happening, or None after `seconds`; an error of a watching thread is raised here."""
        try:
            happening = self.happenings.get(timeout=seconds)
        except queue.Empty:
            return None
        if happening.source == "error":
            raise happening.object
        return happening

    def follow_log(self, pod: str, uid: str, container: str) -> None:
        """Follow this pod's log from its beginning, unless it is followed or too many are."""
        if uid in self.followed or not self.free_logs.acquire(blocking=False):
            return
        self.followed.add(uid)
        self._thread(partial(self._lines, pod, container))

    def _thread(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as e:  # raised again by `next`, in the thread that can act on it
                if not self.stopped.is_set():
                    self.happenings.put(Happening("error", object=e))

        threading.Thread(target=guarded, daemon=True).start()

    def _watch(self, kind: str, selector: str) -> None:
        for event in self.api.follow(kind, selector, self.stopped.is_set):
            happening = Happening("synced", kind) if event.type == "SYNCED" else Happening(
                kind, event.object["metadata"]["name"], event.type, event.object)
            self.happenings.put(happening)

    def _lines(self, pod: str, container: str) -> None:
        try:
            for line in self.api.log(pod, container, follow=True, stopped=self.stopped.is_set):
                self.happenings.put(Happening("line", pod, object=line))
        except ConsortError:
            return  # the pod has gone, or its log with it; its state comes through the watch
        finally:
            self.free_logs.release()


@contextmanager
def feed(api: "KubernetesApi", watched: Mapping[str, str]) -> Iterator[Feed]:
    """A feed whose threads end with the context."""
    opened = Feed(api, watched)
    opened.start()
    try:
        yield opened
    finally:
        opened.stopped.set()


def watched(api: "KubernetesApi", wanted: Sequence[str]) -> str:
    """Selects the objects to watch for the sake of these members: of all, unless one is wanted and no pack has it."""
    if len(wanted) != 1 or api.list(MEMBER_JOB.kind, member_selector(wanted[0], in_pack=True)):
        return member_selector()
    return member_selector(wanted[0])


def member_selector(member: str | None = None, in_pack: bool = False) -> str:
    """Selects the objects of members' jobs: of all, of the one that has its own job, or of the packs that have it."""
    if member is None:
        which = f"{names.COMPONENT_LABEL}={names.MEMBER}"
    else:
        which = f"{names.IN_PACK}{member}" if in_pack else f"{names.MEMBER_LABEL}={member}"
    return f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY},{which}"
