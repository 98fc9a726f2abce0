"""What a person sees while a target works: what it says, and a table of members or trials while there are some."""

from types import TracebackType

from rich.console import Console

from consort.answer.amounts import format_duration
from consort.events import Event, MembersBegun, MembersEnded, Quiet, Said
from consort.screen.members import Progress
from consort.screen.search import SearchProgress
from consort.search.told import SearchBegun, SearchEnded


class Screen:
    """A context on a console; `listen` takes everything that a target tells."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.shown: Progress | SearchProgress | None = None
        """What is shown now of the members or trials that are on their way."""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._show(None)

    def listen(self, event: Event) -> None:
        match event:
            case Said():
                self._say(event.text, event.warns)
            case Quiet():
                self._say(f"no news for {format_duration(event.seconds)}: {event.what}", True)
            case MembersBegun():
                self._show(Progress(self.console, event))
            case SearchBegun():
                self._show(SearchProgress(self.console, event))
            case MembersEnded() | SearchEnded():
                self._show(None)
            case _ if self.shown is not None:
                self.shown.listen(event)

    def _say(self, text: str, warns: bool) -> None:
        self.console.print(text, style="yellow" if warns else None, highlight=False, markup=False, soft_wrap=True)

    def _show(self, shown: Progress | SearchProgress | None) -> None:
        """End what is shown, and begin this."""
        before, self.shown = self.shown, shown
        if before is not None:
            before.stop()
        if shown is not None:
            shown.start()
