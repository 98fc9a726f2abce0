"""Live progress of members that train side by side: a table in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 10.0
"""Without a terminal, a member's progress is printed this often."""


class Progress:
    """A context that shows every member's state; `listen` takes the scheduler's events."""

    def __init__(self, console: Console, members: Sequence[str], done: int) -> None:
        self.console, self.total, self.done_before = console, len(members) + done, done
        self.state: dict[str, dict[str, Any]] = {m: {"state": "waiting"} for m in members}
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=4, transient=False
                         ) if console.is_terminal else None
        self.printed: dict[str, float] = {}

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def listen(self, member: str, event: str, values: Mapping[str, Any]) -> None:
        state = self.state[member]
        if event == "progress":
            state.update(values, state="training")
            if not self.live and time.monotonic() - self.printed.get(member, -1e9) >= PLAIN_SECONDS:
                self.printed[member] = time.monotonic()
                self._say(member, _line(values))
            return
        if event == "placed":  # on a cluster
            if state.get("pod") != values["pod"] or state.get("phase") != values["phase"]:
                self._say_place(member, values)
            state.update(values)
            return
        if event in ("done", "failed", "elsewhere", "started", "retry"):
            state["state"] = {"elsewhere": "trained by another run", "started": "starting",
                              "retry": "starting again"}.get(event, event)
        if event in ("done", "failed", "retry", "warning", "resumed") and not (event == "done" and self.live):
            text = {"done": f"done ({self.finished} of {self.total})",
                    "resumed": f"resumed at step {values.get('step')} of {values.get('steps')}"}.get(event)
            self._say(member, text or f"{event}: {values.get('text', '')}")

    @property
    def finished(self) -> int:
        return self.done_before + sum(s["state"] == "done" for s in self.state.values())

    def _say_place(self, member: str, values: Mapping[str, Any]) -> None:
        if not self.live and values["phase"] in ("Pending", "Running"):
            self._say(member, f"{values['phase'].lower()}: pod {values['pod']}"
                              + (f" on {values['node']}" if values["node"] else ""))

    def _say(self, member: str, text: str) -> None:
        self.console.print(Text.assemble((f"{member}  ", "bold"), text), soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("member", "", "epoch", "images/s", "loss", "left"):
            table.add_column(title, justify="left" if title in ("member", "") else "right", no_wrap=True)
        active = {m: s for m, s in self.state.items() if s["state"] not in ("waiting", "done", "failed")}
        placed = any("pod" in state for state in active.values())
        for title in ("node", "restarts") if placed else ():
            table.add_column(title, no_wrap=True)
        for member, state in active.items():
            place = (state.get("node", ""), str(state.get("restarts", ""))) if placed else ()
            table.add_row(member, *_cells(state), *place)
        waiting = sum(s["state"] == "waiting" for s in self.state.values())
        return Group(table, Text(f"{self.finished} of {self.total} members done, {waiting} waiting", style="dim"))


def _cells(state: Mapping[str, Any]) -> list[RenderableType]:
    if state["state"] != "training":
        phase = f" ({state['phase'].lower()})" if "phase" in state else ""
        return [f"{state['state']}{phase}", "", "", "", ""]
    return [ProgressBar(total=state["steps"], completed=state["step"], width=20),
            f"{state['epoch']:.1f} / {state['epochs']}", f"{state['images_per_second']:,.0f}", f"{state['loss']:.3f}",
            duration(state["seconds_left"])]


def _line(values: Mapping[str, Any]) -> str:
    return (f"epoch {values['epoch']:.1f} / {values['epochs']}  {values['images_per_second']:,.0f} images/s  "
            f"loss {values['loss']:.3f}  {duration(values['seconds_left'])} left")


def duration(seconds: float) -> str:
    """42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
