"""The output of a script and its exit: text for people, or JSON events for programs."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import typer

from ec2lab.errors import UserError
from ec2lab.interrupts import INTERRUPTS
from ec2lab.printable import printable, printable_document, printable_log
from ec2lab.progress import LINE, terminal_width
from ec2lab.rendering import render
from ec2lab.standard_streams import Outlet, open_outlets

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from ec2lab.events import Event as LabEvent
    from ec2lab.terminal_layout import Cell, Column, Row

INTERRUPTED = 130  # the exit code after Ctrl-C, as in shells (128 + SIGINT) and typer

INCOMPLETE = 3  # the exit code of a command whose output is true but incomplete

_LEAVES = Event()


class Console:
    """Where a script speaks: each thing said is a line of text, or in JSON mode an event with its fields.

    Tables and lines fit the terminal. What is piped or `wide` has all columns, a line for each row.
    """

    def __init__(self, *, as_json: bool = False, wide: bool = False) -> None:
        self.as_json = LINE.is_quiet = as_json
        self._wide = wide
        self._display: RichConsole | None = None

    def emit(self, *events: LabEvent) -> None:
        """Print events: their text, or in JSON mode an object each."""
        from ec2lab.events import ForPeople, Progress

        for event in events:
            if isinstance(event, Progress):
                self.progress(event.text)
            elif not self.as_json:
                self.emit_table([event])
                self._print_lines(*render(event))
            elif not isinstance(event, ForPeople):
                self._print(json.dumps(event.as_json()))

    def _print_lines(self, lines: Sequence[str], style: str | None) -> None:
        for number, line in enumerate(map(printable, lines)):
            colored = style and number == 0 and "NO_COLOR" not in os.environ
            text = self._wrapped(line)
            self._print(typer.style(text, fg=style) if colored else text)

    def _wrapped(self, line: str) -> str:
        return _fitted(line, self._width)

    def emit_table(self, events: Sequence[LabEvent]) -> None:
        """Print events of one type as a table, or in JSON mode an object each."""
        if self.as_json:
            self.emit(*events)
            return
        from ec2lab.tables import TABLES

        if events and events[0].event in TABLES:
            columns, row = TABLES[events[0].event]
            titled = [replace(column, title=column.title.format_map(vars(events[0]))) for column in columns]
            self.table(titled, [row(event) for event in events])

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the output, and a line can replace another."""
        return not self.as_json and sys.stdout.isatty()

    @property
    def has_reader(self) -> bool:
        """Whether somebody may still read the output: nobody does after `| head`, or on a closed terminal."""
        outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        return not isinstance(outlet, Outlet) or outlet.has_reader

    def log(self, lines: Sequence[str], before: str = "", *, to_stderr: bool = False) -> None:
        """Print lines of a log with their own colors and nothing else that a terminal obeys, each after `before`."""
        if lines and not self.as_json:
            self._print("\n".join(f"{before}{printable_log(line)}" for line in lines), to_stderr=to_stderr)

    def as_it_is(self, content: bytes) -> None:
        """Print bytes unchanged, at once."""
        self._print(content, newline=False)

    def hint(self, text: str) -> None:
        """Print advice, unless it is empty or in JSON mode."""
        if text and not self.as_json:
            self._print(self._wrapped(printable(text)))

    def document(self, text: str) -> None:
        """Print several lines, unless in JSON mode."""
        if text and not self.as_json:
            self._print(printable_document(text))

    def progress(self, text: str) -> None:
        """Show progress on a terminal in a line that the next one replaces."""
        LINE.show(text)

    @contextmanager
    def above(self, display: RichConsole) -> Iterator[None]:
        """Print above a live display of rich's: drawn again, it would wipe lines that it does not know of."""
        self._display = display
        try:
            with LINE.paused():
                yield
        finally:
            self._display = None

    def _print(self, text: str | bytes, *, newline: bool = True, to_stderr: bool = False) -> None:
        """Print a line. A reader that is gone (`| head`, a closed terminal) must not stop the command."""
        try:
            if self._display and isinstance(text, str):
                from rich.text import Text

                self._display.print(Text.from_ansi(text), soft_wrap=True)
                return
            with LINE.lock:
                LINE.erase()
                typer.echo(text, nl=newline, err=to_stderr)
        except OSError:
            _discard_stdout()

    def table(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Print a table, unless in JSON mode, where its rows are events."""
        if self.as_json or not rows:
            return
        from ec2lab.terminal_layout import table_lines

        shown = [list(map(_shown, row)) for row in rows]
        self._print("\n".join(table_lines(columns, shown, self._width)))

    @property
    def _width(self) -> int | None:
        return None if self._wide else terminal_width(sys.stdout)


def _shown(cell: Cell) -> Cell:
    return printable(cell) if isinstance(cell, str) else tuple(map(printable, cell))


def _fitted(line: str, width: int | None) -> str:
    """Return a line as it fits a terminal. Most do: only for others is loaded what breaks them."""
    if width is None or (line.isascii() and len(line) <= width):
        return line
    from ec2lab.terminal_layout import wrapped

    return wrapped(line, width)


def _discard_stdout() -> None:
    """Redirect standard output to nowhere, including what Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(app: typer.Typer, *, follows: bool = False) -> NoReturn:
    """Run a script and end the process: 0 done, 1 with one line of what the user can fix, 2 wrong usage, 130 Ctrl-C.

    DEBUG=1 shows the traceback too. A plain kill and a closed terminal end a script as Ctrl-C does, so that it still
    takes down what it made. A script that `follows` something only looks on: Ctrl-C is how one leaves it, and no error.
    At a terminal it then ends with 0, as make would print an error line of its own.
    """
    open_outlets()
    interrupted = ("", 0 if sys.stderr.isatty() else INTERRUPTED) if follows else ("interrupted", INTERRUPTED)
    INTERRUPTS.install()
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _fail(*interrupted)
        _leave(end.code)
        raise
    except KeyboardInterrupt:
        _fail(*interrupted)
    except UserError as mendable:
        _fail(str(mendable), mendable.exit_status, getattr(mendable, "__notes__", ()))
    except Exception:  # noqa: BLE001 - a bug of ours: all of it is shown, but for what a terminal would obey
        _print_traceback()
        _leave(1)
        sys.exit(1)
    finally:
        # At exit Python need not search everything ever imported for garbage, which takes 0.1 s.
        gc.freeze()
    sys.exit(0)


def exit_if_incomplete(unseen: Mapping[str, str]) -> None:
    """Exit with 3 after a command whose output is incomplete."""
    if unseen:
        raise typer.Exit(INCOMPLETE)


def warn(line: str) -> None:
    complain(f"warning: {line}")


def complain(line: str) -> None:
    with LINE.lock:
        LINE.erase()
        print(_fitted(printable(line), terminal_width(sys.stderr)), file=sys.stderr)


def _fail(line: str, code: int, below: Iterable[str] = ()) -> NoReturn:
    INTERRUPTS.heed()
    print_debug_traceback()
    for one in (f"error: {line}", *(f"  {one}" for one in below)) if line else ():
        complain(one)
    LINE.erase()
    if INTERRUPTS.given_up:
        leave_at_once()
    _leave(code)
    sys.exit(code)


def print_debug_traceback() -> None:
    """With DEBUG=1, print the current exception's traceback without control characters."""
    if os.environ.get("DEBUG") == "1":
        _print_traceback()


def _print_traceback() -> None:
    import traceback

    print(printable_document(traceback.format_exc()), file=sys.stderr)


def leave_at_once() -> None:
    """Exit without waiting for threads that may still be in abandoned calls."""
    _LEAVES.set()


def _leave(code: object) -> None:
    if _LEAVES.is_set():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0)
