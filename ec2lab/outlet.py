"""Standard output and error of a script: who does not listen any more, or not now, holds up no rollback."""

from __future__ import annotations

import io
import os
import select
import sys
from contextvars import ContextVar
from typing import Any, TextIO

from ec2lab.interrupts import INTERRUPTS
from ec2lab.printable import printable_document

POLL = 0.2
"""Seconds between looks whether the command is ending meanwhile."""
PATIENCE = 2.0
"""Seconds that a reader gets to go on reading, once the command is ending."""
STREAMS = ("stdin", "stdout", "stderr")
PLUGIN_AT_WORK: ContextVar[str] = ContextVar("the plugin that is at work", default="")
"""Standard output is the script's, and a program may read it."""


class Outlet(io.RawIOBase):
    """A descriptor to write to.

    Where nobody reads any more (`| head`, a closed terminal) all that is written goes nowhere. Where the reader has
    stopped (a full pipe, Ctrl-S) it is waited for, as anyone expects, but not while a command takes back what it made.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._is_over = False

    def writable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, content: Any) -> int:
        """Write all of a buffer, or lose it."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest) and not self._is_over:
                if self._is_read():
                    # No more than a pipe takes at once, so that it can't be held up in the midst.
                    rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
                else:
                    self._is_over = True
        except OSError:
            self._is_over = True
        return size

    @property
    def has_reader(self) -> bool:
        """Whether somebody may still read what is written."""
        poll = select.poll()
        poll.register(self._descriptor, 0)  # an end that is gone is told all the same
        return not (self._is_over or poll.poll(0))

    def _is_read(self) -> bool:
        """Wait until more can be written; False where the command is ending and that takes too long."""
        polls = 0
        while not select.select([], [self._descriptor], [], POLL)[1]:
            polls += INTERRUPTS.is_ending
            if polls * POLL >= PATIENCE:
                return False
        return True


class Output(io.TextIOWrapper):
    """Standard output. What a plugin prints while it is at work goes to standard error."""

    def write(self, text: str) -> int:
        """Write a text to where it belongs."""
        if not PLUGIN_AT_WORK.get():
            return super().write(text)
        sys.stderr.write(printable_document(text))
        return len(text)


def open_outlets() -> None:
    """Put outlets in the place of standard output and error, and nothing where a stream was closed from the start.

    Else the next file that is opened, the registry, would get a closed stream's number, and what children print.
    """
    for descriptor, name in enumerate(STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))
    sys.stdout, sys.stderr = _outlet(sys.stdout), _outlet(sys.stderr)


def _outlet(stream: TextIO) -> TextIO:
    """Return a stream like another, through an outlet."""
    stream.flush()
    raw = Outlet(stream.fileno())
    lines = raw.isatty() or stream is sys.stderr
    made = io.TextIOWrapper if stream is sys.stderr else Output
    return made(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=lines)
