"""The screen of a running sweep: a line for each launch in progress at the foot of the terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2lab.console import Console
from ec2lab.events import Event, ForPeople
from ec2lab.events.runs import SweepComplete, SweepStarted, TrialFinished
from ec2lab.printable import printable
from ec2lab.rendering import text_of

if TYPE_CHECKING:
    from rich.live import Live


class SweepConsole:
    """A console for the events of many launches; any thread may emit."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None

    def emit(self, event: Event) -> None:
        """Print an event of the sweep; for a launch in progress, only its last event is shown."""
        if self.console.as_json or isinstance(event, SweepStarted | TrialFinished | SweepComplete):
            self.console.emit(event)
        with self._lock:
            name = getattr(event, "experiment", None) or ""
            if isinstance(event, TrialFinished):
                self._last.pop(name, None)
            elif not isinstance(event, ForPeople) and (text := text_of(event)):
                self._last[name] = text.removeprefix(name).lstrip(": ")
            self._draw()

    @contextmanager
    def live_display(self) -> Iterator[None]:
        """Show the launches in progress at the foot of the terminal, if it is one."""
        if not self.console.is_terminal:
            yield
            return
        from rich.live import Live

        self._live = Live(refresh_per_second=8, transient=True, vertical_overflow="ellipsis")
        with self._live, self.console.above(self._live.console):
            yield
        self._live = None

    def _draw(self) -> None:
        if self._live is None:
            return
        from rich.text import Text

        lines = [printable(f"  {name}  {text}") for name, text in self._last.items()]
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis", style="dim"))
