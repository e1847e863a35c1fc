"""A command's log on a terminal, in a pipe, or as events."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.events.runs import LogLine, PartialLogLine
from ec2lab.printable import without_colours
from ec2lab.runs.log_lines import LogLines

QUIET = 30.0
"""Seconds without a line after which a pipe is shown what is unfinished: a progress bar is drawn ten times a second."""


class NobodyReads(Exception):
    """What is printed goes nowhere: there is no point in following a log any further."""


@dataclass
class LogPrinter:
    """Prints a log as its bytes come.

    A line that is unfinished is shown on a terminal as it changes, and elsewhere where no other came for a while.
    """

    console: Console
    instance: str
    raw: bool = False
    """Whether every byte is printed as it is, and at once."""
    _lines: LogLines = field(default_factory=LogLines)
    _last: float = field(default_factory=clock.monotonic)
    """When something was printed."""
    _shown: str = ""

    def __call__(self, data: bytes) -> None:
        """Print what came, which may be nothing yet. Raises NobodyReads."""
        if not self.console.has_reader:
            raise NobodyReads
        if self.raw and not self.console.as_json:
            self.console.as_it_is(data)
            return
        self._print(self._lines.taken(data))
        if (text := self._lines.unfinished) != self._shown:
            self._show(text)

    def end(self) -> None:
        """Print what is left."""
        self._print(self._lines.rest())

    def _print(self, lines: list[str]) -> None:
        if not lines:
            return
        if self.console.as_json:
            self.console.emit(*(LogLine(instance=self.instance, text=line) for line in lines))
        self.console.log(lines)
        self._last, self._shown = clock.monotonic(), ""

    def _show(self, text: str) -> None:
        if self.console.is_terminal:
            self.console.progress(without_colours(text)[: shutil.get_terminal_size().columns - 1])
        elif clock.monotonic() - self._last < QUIET:
            return
        elif self.console.as_json:
            self.console.emit(PartialLogLine(instance=self.instance, text=text))
        else:
            self.console.log([text])
        self._last, self._shown = clock.monotonic(), text
