"""Live progress of members that train side by side: a table in a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from consort.answer.amounts import format_duration, format_loss
from consort.events import (
    Done,
    Elsewhere,
    Event,
    Failed,
    MemberEvent,
    MembersBegun,
    PodSeen,
    Progressed,
    Resumed,
    Retried,
    Started,
    Warned,
    without_name,
)
from consort.plurals import counted
from consort.screen.time_left import JobsTimeLeft, TimeLeft

PLAIN_SECONDS = 10.0
"""Without a terminal, a member's progress is printed this often."""
STATES: dict[type[Event], str] = {
    Progressed: "training", Started: "starting", Elsewhere: "trained by another run", Retried: "starting again",
    Done: "done", Failed: "failed"}
"""What a member is after an event of this type."""
WORDS: dict[type[Event], str] = {Failed: "failed", Retried: "retry", Warned: "warning"}


@dataclass
class Row:
    """What is known of one member."""

    state: str = "waiting"
    progress: Progressed | None = None
    pod: PodSeen | None = None
    """On a cluster."""
    printed: float = -1e9
    """When its progress was printed last, by the monotonic clock."""


class Progress:
    """Shows every member's state, from `start` to `stop`; `listen` takes what a target tells."""

    def __init__(self, console: Console, begun: MembersBegun) -> None:
        self.console, self.total, self.done_before = console, len(begun.members) + begun.done, begun.done
        self.rows = {member: Row() for member in begun.members}
        self.all = JobsTimeLeft(begun.work, begun.packs) if begun.packs else TimeLeft(begun.work, begun.shares)
        self.printed = -1e9
        """When the line about all members was printed last."""
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=4, transient=False
                         ) if console.is_terminal else None

    def start(self) -> None:
        if self.live:
            self.live.start()

    def stop(self) -> None:
        if self.live:
            self.live.stop()

    def listen(self, event: Event) -> None:
        if not isinstance(event, MemberEvent):
            return
        row = self.rows[event.member]
        row.state = STATES.get(type(event), row.state)
        self.all.listen(event)
        match event:
            case Progressed():
                row.progress = event
                if not self.live and time.monotonic() - row.printed >= PLAIN_SECONDS:
                    row.printed = time.monotonic()
                    self._say(event.member, progress_line(event) + f"  {format_duration(event.seconds_left)} left")
                    self._say_all()
            case PodSeen():
                if row.pod is None or (row.pod.pod, row.pod.phase) != (event.pod, event.phase):
                    self._say_pod(event)
                row.pod = event
            case Done() if not self.live:
                self._say(event.member, f"done ({self.finished} of {self.total})")
            case Resumed():
                self._say(event.member, f"resumed at step {event.step} of {event.steps}")
            case Failed() | Retried() | Warned():
                self._say(event.member, f"{WORDS[type(event)]}: {without_name(event.member, event.text)}")

    @property
    def finished(self) -> int:
        return self.done_before + sum(row.state == "done" for row in self.rows.values())

    def _say_all(self) -> None:
        if (text := self._about_all()) and time.monotonic() - self.printed >= PLAIN_SECONDS:
            self.printed = time.monotonic()
            self.console.print(Text(f"all members: {text}"), soft_wrap=True)

    def _about_all(self) -> str:
        """Their images per second and the time left, where there are several and it is known."""
        seconds = self.all.seconds  # asked for once: it can become unknown in between
        if len(self.rows) == 1 or seconds is None:
            return ""
        return f"{self.all.images_per_second:,.0f} images/s, about {format_duration(seconds)} left"

    def _say_pod(self, event: PodSeen) -> None:
        if not self.live and event.phase in ("Pending", "Running"):
            self._say(event.member, f"{event.phase.lower()}: pod {event.pod}"
                                    + (f" on {event.node}" if event.node else ""))

    def _say(self, member: str, text: str) -> None:
        self.console.print(Text.assemble((f"{member}  ", "bold"), text), soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("member", "", "epoch", "images/s", "loss", "left"):
            table.add_column(title, justify="left" if title in ("member", "") else "right", no_wrap=True)
        active = {m: row for m, row in self.rows.items() if row.state not in ("waiting", "done", "failed")}
        with_pods = any(row.pod for row in active.values())
        for title in ("node", "restarts") if with_pods else ():
            table.add_column(title, no_wrap=True)
        for member, row in active.items():
            of_pod = (row.pod.node, str(row.pod.restarts)) if row.pod else ("", "")
            table.add_row(member, *_cells(row), *(of_pod if with_pods else ()))
        waiting = sum(row.state == "waiting" for row in self.rows.values())
        told = [f"{self.finished} of {counted(self.total, 'member')} done, {waiting} waiting", self._about_all()]
        return Group(table, Text("; ".join(text for text in told if text), style="dim"))


def _cells(row: Row) -> list[RenderableType]:
    if row.state != "training" or row.progress is None:
        phase = f" ({row.pod.phase.lower()})" if row.pod else ""
        return [f"{row.state}{phase}", "", "", "", ""]
    return [ProgressBar(total=row.progress.steps, completed=row.progress.step, width=20),
            *progress_cells(row.progress)]


def progress_cells(of: Progressed) -> list[str]:
    """Epoch, images/s, loss, what is left."""
    return [f"{of.epoch:.1f} / {of.epochs}", f"{of.images_per_second:,.0f}", format_loss(of.loss),
            format_duration(of.seconds_left)]


def progress_line(of: Progressed) -> str:
    """How far a training is, in a line."""
    return f"epoch {of.epoch:.1f} / {of.epochs}  {of.images_per_second:,.0f} images/s  loss {format_loss(of.loss)}"
