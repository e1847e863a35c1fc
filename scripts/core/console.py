"""What a script prints, and how it ends: text for people, or JSON events for programs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from scripts.core.errors import LabError

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

INTERRUPTED = 130
"""The exit code of a script ended by Ctrl-C, as shells have it (128 + SIGINT), and typer."""


class Console:
    """Where a script speaks: each thing said is a line of text, or in JSON mode an event with its fields."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, text: str, event: str, /, *, style: str | None = None, **fields: Any) -> None:
        """Print `text` (in the colour `style`, on a terminal), or in JSON mode `{"event": event, **fields}`."""
        if self.as_json:
            typer.echo(json.dumps({"event": event, **fields}, default=str))
        else:
            typer.secho(text, fg=style)

    def hint(self, text: str) -> None:
        """Print advice that a program has no use for: nothing in JSON mode, nor where there is none."""
        if text and not self.as_json:
            typer.echo(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table for people; in JSON mode nothing, its rows are events of their own."""
        if self.as_json:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row))
        self._rich().print(table)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that something is being waited for, where a person is looking on."""
        if self.as_json or not sys.stdout.isatty():
            yield
            return
        with self._rich().status(text):
            yield

    def _rich(self) -> RichConsole:
        from rich.console import Console as RichConsole

        # Wide enough not to break lines where no terminal says how wide it is (a pipe, CI).
        return RichConsole(width=None if sys.stdout.isatty() else 200)


def run(app: typer.Typer) -> NoReturn:
    """Run a script and end the process: 0 done, 1 with one line of what the user can mend, 2 wrong usage, 130 Ctrl-C.

    DEBUG=1 shows the traceback too. A plain kill and a closed terminal end a script as Ctrl-C does, so that it still
    takes down what it made.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _fail("interrupted", INTERRUPTED)
        raise
    except LabError as mendable:
        _fail(str(mendable), 1)
    sys.exit(0)


def _fail(line: str, code: int) -> NoReturn:
    if os.environ.get("DEBUG") == "1":
        import traceback

        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    sys.exit(code)
