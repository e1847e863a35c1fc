"""Standard output and error of a script: a reader that is gone or has stopped delays no rollback."""

from __future__ import annotations

import io
import os
import select
import sys
from contextvars import ContextVar
from typing import Any, TextIO

from ec2lab.interrupts import INTERRUPTS
from ec2lab.printable import printable_document

POLL = 0.2  # seconds between checks of whether the command is ending
PATIENCE = 2.0  # seconds for a reader to go on, once the command is ending
STREAMS = ("stdin", "stdout", "stderr")
PLUGIN_AT_WORK: ContextVar[str] = ContextVar("the plugin that is at work", default="")
"""Standard output belongs to the script, and a program may parse it."""


class Outlet(io.RawIOBase):
    """A descriptor to write to.

    If nobody reads any more (`| head`, a closed terminal), output is discarded. A reader that has stopped (a full pipe,
    Ctrl-S) is waited for, but not during a rollback.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._is_over = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: Any) -> int:
        """Write the whole buffer, or discard it."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest) and not self._is_over:
                if self._is_read():
                    # No more than a pipe takes at once, so that it cannot block halfway.
                    rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
                else:
                    self._is_over = True
        except OSError:
            self._is_over = True
        return size

    @property
    def has_reader(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, 0)  # a closed end is reported all the same
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
    """Standard output. What a plugin prints goes to standard error."""

    def write(self, text: str) -> int:
        if not PLUGIN_AT_WORK.get():
            return super().write(text)
        sys.stderr.write(printable_document(text))
        return len(text)


def open_outlets() -> None:
    """Replace standard output and error by outlets, and streams that were closed from the start by /dev/null.

    Otherwise the next file to be opened, the registry, would get a closed stream's number, and what child processes
    print.
    """
    for descriptor, name in enumerate(STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))
    sys.stdout, sys.stderr = _outlet(sys.stdout), _outlet(sys.stderr)


def _outlet(stream: TextIO) -> TextIO:
    stream.flush()
    raw = Outlet(stream.fileno())
    lines = raw.isatty() or stream is sys.stderr
    made = io.TextIOWrapper if stream is sys.stderr else Output
    return made(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=lines)
