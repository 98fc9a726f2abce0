"""Live progress of a search: its running trials, the best of every arm, and the front of accuracy and latency."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consort.ensembles.metrics import pareto_front
from consort.events import Elsewhere, Event, MemberEvent, Progressed, Retried, Started, WaitsForLock, Warned
from consort.plurals import counted
from consort.screen.members import PLAIN_SECONDS, WORDS, Row, progress_cells, progress_line
from consort.search.arms import Arm
from consort.search.records import TrialRecord
from consort.search.told import SearchBegun, TrialRecorded
from consort.search.trials import DONE

FRONT = 8
"""So many points of the front are shown, evenly over it."""
STATES: dict[type[Event], str] = {
    Progressed: "training", Started: "starting", Elsewhere: "waits for a member that another trial trains",
    WaitsForLock: "waits for a member that another trial trains"}
"""What a trial is after an event of this type."""


class SearchProgress:
    """Shows a search, from `start` to `stop`; `listen` takes what a target tells of its trials."""

    def __init__(self, console: Console, begun: SearchBegun) -> None:
        self.console, self.arms, self.records = console, begun.arms, begun.records
        self.trials = None if begun.second else begun.search.trials
        """Of every arm; None where an arm has just those that it begins with."""
        self.running: dict[str, Row] = {}
        self.live = Live(console=console, get_renderable=self._shown, refresh_per_second=4, transient=False
                         ) if console.is_terminal else None

    def start(self) -> None:
        if self.live:
            self.live.start()
        else:
            what = (f"{counted(len(self.arms), 'arm')} of {counted(self.trials, 'trial')}" if self.trials
                    else "second trainings")
            self._say("", f"{what}: " + ", ".join(
                f"{arm.name} {arm.finished(self.records)}" + ("" if self.trials else f"/{self._trials_of(arm)}")
                for arm in self.arms))

    def stop(self) -> None:
        if self.live:
            self.live.stop()
        else:
            self.console.print(self._shown())

    def listen(self, event: Event) -> None:
        if isinstance(event, TrialRecorded):
            self._recorded(event)
        elif isinstance(event, MemberEvent):
            self._running(event.subject, event)

    def _running(self, trial: str, event: MemberEvent) -> None:
        row = self.running.setdefault(trial, Row("starting"))
        row.state = STATES.get(type(event), row.state)
        match event:
            case Progressed():
                row.progress = event
                if not self.live and time.monotonic() - row.printed >= PLAIN_SECONDS:
                    row.printed = time.monotonic()
                    self._say(trial, f"{_which(event)}  {progress_line(event)}")
            case Retried() | Warned():
                self._say(trial, f"{WORDS[type(event)]}: {event.text}")

    def _recorded(self, event: TrialRecorded) -> None:
        trial = event.trial
        self.running.pop(event.ran_as or trial, None)
        record = self.records[trial]
        for arm in [event.arm] if event.arm else [a for a in self.arms if a.has(trial)]:
            how_far = f"{arm.name} {arm.finished(self.records)}/{self._trials_of(arm)}"
            if record.state != DONE:
                self._say(trial, f"{how_far}  {record.state}: {record.reason}")
            elif not self.live:
                best = best_of(arm, self.records)
                self._say(trial, f"{how_far}  {_judged(record)}" + ("  (best so far)" if best == record else ""))

    def _trials_of(self, arm: Arm) -> int:
        return self.trials or len(arm.proposals)

    def _say(self, trial: str, text: str) -> None:
        self.console.print(Text.assemble((f"{trial}  " if trial else "", "bold"), text), soft_wrap=True)

    def _shown(self) -> RenderableType:
        return Group(*([self._running_table()] if self.running else []), self._arms_table(),
                     Text(self._front_text(), style="dim"))

    def _running_table(self) -> Table:
        table = _table("trial", "member", "epoch", "images/s", "loss", "left")
        for trial, row in self.running.items():
            if row.state != "training" or row.progress is None:
                table.add_row(trial, row.state)
            else:
                table.add_row(trial, _which(row.progress).removeprefix("member "), *progress_cells(row.progress))
        return table

    def _arms_table(self) -> Table:
        table = _table("arm", "trials", "best reward", "accuracy %", "latency ms", "trial")
        for arm in self.arms:
            best = best_of(arm, self.records)
            judged = () if best is None else (f"{best.reward:.4f}", f"{100 * (best.accuracy or 0):.2f}",
                                              f"{best.latency_ms:.3f}", best.id)
            table.add_row(f"{arm.name}{' (control)' if arm.control else ''}",
                          f"{arm.finished(self.records)} / {self._trials_of(arm)}", *judged)
        return table

    def _front_text(self) -> str:
        points = front([self.records[p.trial] for arm in self.arms for p in arm.proposals if p.trial in self.records])
        shown = [points[i] for i in sorted({round(i) for i in np.linspace(0, len(points) - 1, FRONT)})
                 ] if len(points) > FRONT else points
        told = [f"{record.latency_ms:.3g} ms {100 * (record.accuracy or 0):.1f} % ({record.kind})" for record in shown]
        return "front: " + (" · ".join(told) or "no trial is done yet")


def best_of(arm: Arm, records: Mapping[str, TrialRecord]) -> TrialRecord | None:
    """The trial of an arm with the highest reward, the first of equals; None before one is done."""
    done = [records[p.trial] for p in arm.proposals if p.trial in records and records[p.trial].state == DONE]
    return max(done, key=lambda record: record.reward or 0.0, default=None)


def front(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that no other beats in accuracy and latency, fastest first; equal points once."""
    done = [record for record in records if record.state == DONE]
    if not done:
        return []
    on_front = pareto_front(np.array([record.latency_ms for record in done], dtype=np.float64),
                            np.array([record.accuracy for record in done], dtype=np.float64))
    points = {(r.latency_ms, r.accuracy): r for r, stands in reversed(list(zip(done, on_front, strict=True))) if stands}
    return [points[point] for point in sorted(points, key=lambda point: point[0] or 0.0)]


def _judged(record: TrialRecord) -> str:
    return (f"reward {record.reward:.4f}  accuracy {100 * (record.accuracy or 0):.2f} %  latency "
            f"{record.latency_ms:.3g} ms  {(record.macs or 0) / 1e6:,.2f} M MACs")


def _which(event: Progressed) -> str:
    return f"member {event.number} of {event.members}"


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, justify="left" if title in ("trial", "arm", "member") else "right", no_wrap=True)
    return table
