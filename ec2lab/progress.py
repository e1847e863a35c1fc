"""What a terminal shows of long work: a line with what a command is at, and bars for what takes minutes to hours."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ec2lab import clock
from ec2lab.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ec2lab.console import Console

UNKNOWN_WIDTH = 80  # columns of a terminal that does not tell
SOON = 1.0  # seconds of work before it is shown
TICK = 0.5  # seconds between two drawings

Detail = Callable[[str], None]


@dataclass(eq=False, slots=True)
class Activity:
    what: str
    began: float
    is_background: bool = False  # whether it is shown only while there is nothing else to show: a single call of many
    detail: str = ""

    def describe(self, detail: str) -> None:
        self.detail = detail

    @property
    def seconds(self) -> float:
        return clock.monotonic() - self.began

    def __str__(self) -> str:
        return f"  {' '.join(filter(None, (self.what, self.detail)))} ({self.seconds:.0f} s)"


class ProgressLine:
    """The last line of the terminal; it is erased before anything else is printed. Any thread may use it.

    It is drawn only where standard output is a terminal, and never with JSON=1.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # held while anything is written to the terminal
        self.is_quiet = False
        self._paused = 0
        self._is_drawn = False
        self._activities: list[Activity] = []
        self._over = threading.Event()

    def show(self, text: str) -> None:
        with self.lock:
            if self.is_shown and not self._paused:
                width = terminal_width(sys.stdout) or UNKNOWN_WIDTH
                self._is_drawn = True  # first: Ctrl-C may come as soon as it is written
                _write(f"\r{printable(text)[: width - 1]}\033[K")  # one that wraps stays

    def erase(self) -> None:
        with self.lock:
            if self._is_drawn:
                _write("\r\033[K")
                self._is_drawn = False

    @property
    def is_shown(self) -> bool:
        """Whether there is anybody to show it to."""
        with suppress(ValueError):  # closed
            return not self.is_quiet and sys.stdout.isatty()
        return False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draw no line meanwhile: the terminal is in use for something else."""
        with self.lock:
            self._paused += 1
            self.erase()
        try:
            yield
        finally:
            with self.lock:
                self._paused -= 1

    @contextmanager
    def working(self, what: str, *, is_background: bool = False) -> Iterator[Detail]:
        """Show what a command is at, and for how long, from the second second on; give what sets how far it is.

        Of several activities the last to begin is shown, one in the background only if there is no other.
        """
        activity = Activity(what, clock.monotonic(), is_background)
        if not self.is_shown:
            yield activity.describe
            return
        with self.lock:
            self._activities.append(activity)
            if len(self._activities) == 1:
                self._over = threading.Event()
                threading.Thread(target=self._tick, args=[self._over], daemon=True).start()
        try:
            yield activity.describe
        finally:
            with self.lock:
                self._activities.remove(activity)
                if not self._activities:
                    self._over.set()
                    self.erase()

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(TICK):  # in real time: somebody looks
            with self.lock:
                if not over.is_set() and (shown := self._foremost()).seconds >= SOON:
                    self.show(str(shown))

    def _foremost(self) -> Activity:
        in_front = [activity for activity in self._activities if not activity.is_background]
        return (in_front or self._activities)[-1]


def terminal_width(stream: TextIO) -> int | None:
    """Return how many columns a terminal has; None for what is none, or does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal may be gone
        sys.stdout.write(text)
        sys.stdout.flush()


LINE = ProgressLine()  # the terminal has one
working = LINE.working


class ProgressBars:
    """Bars by name; thread-safe."""

    def __init__(self, console: Console, start: Callable[[], Progress] | None) -> None:
        self._console = console
        self._start = start
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    def show(self, name: str, done: float, total: float, said: str) -> None:
        """Set the bar of `name` to `done` of `total` bytes, and show `said` next to it."""
        if self._start is None:
            self._line(name, said)
            return
        with self._lock:
            self._progress = self._progress or self._start()
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(printable(name), total=total, said=printable(said))
            self._progress.update(self._tasks[name], completed=done, total=total, said=printable(said))

    def _line(self, name: str, said: str) -> None:
        if said and self._said.get(name) != said:
            self._said[name] = said
            self._console.hint(f"  {name}  {said}")


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressBars]:
    """Give bars on a terminal, lines elsewhere, nothing in JSON mode. They are drawn once one of them moves."""
    with ExitStack() as stack:
        yield ProgressBars(console, (lambda: _drawn_bars(console, stack)) if console.is_terminal else None)


def _drawn_bars(console: Console, stack: ExitStack) -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    def whole() -> Column:  # on a narrow terminal the bar is shortened, and nothing wraps
        return Column(no_wrap=True)

    progress = Progress(
        TextColumn("  {task.description}", markup=False, table_column=whole()),
        BarColumn(),
        DownloadColumn(binary_units=True, table_column=whole()),
        TimeRemainingColumn(compact=True, table_column=whole()),
        TextColumn("{task.fields[said]}", markup=False, table_column=whole()),
        speed_estimate_period=3600,  # AWS reports progress in whole percents, minutes apart
    )
    stack.enter_context(console.above(progress.console))
    return stack.enter_context(progress)
