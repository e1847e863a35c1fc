"""Bars for what takes minutes to hours: one each, with bytes and an estimate; lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2lab.console import Console
from ec2lab.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBars:
    """Bars by name. Any thread may move one."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console = console
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str] = {}

    def show(self, name: str, done: float, total: float, said: str) -> None:
        """Move the bar of `name` to `done` of `total` bytes, and put `said` beside it."""
        if self._progress is None:
            self._line(name, said)
            return
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(printable(name), total=total, said=printable(said))
        self._progress.update(self._tasks[name], completed=done, total=total, said=printable(said))

    def _line(self, name: str, said: str) -> None:
        if said and self._said.get(name) != said:
            self._said[name] = said
            self._console.hint(f"  {name}  {said}")


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressBars]:
    """Give bars on a terminal, lines elsewhere, nothing in JSON mode."""
    if console.as_json or not sys.stdout.isatty():
        yield ProgressBars(console, None)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        speed_estimate_period=3600,  # AWS tells of progress in whole percents, minutes apart
    )
    with progress, console.above(progress.console):
        yield ProgressBars(console, progress)
