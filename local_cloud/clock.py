"""The cloud's clock: this computer's, advanced or stopped. Whoever waits for the cloud need not wait for real.

How it differs stands in a file beside the server's address, so that other processes can live by it too.
"""

from __future__ import annotations

import mmap
import os
import time
from datetime import UTC, datetime
from pathlib import Path

CLOCK_FILE = "clock"
AHEAD, STOPPED, STOPPED_MONOTONIC = range(3)
"""What is shared: seconds by which it is ahead of this computer's, and where that stood when it was stopped, 0 if it
goes."""
DOUBLE = 8
"""Bytes of each."""


class Clock:
    """A clock that several processes may share."""

    def __init__(self) -> None:
        self._shared = memoryview(bytearray(3 * DOUBLE)).cast("d")
        self._resumed = 0.0
        """Seconds by which measured time differs besides: none passes between a snapshot and its return."""

    def share(self, file: Path) -> None:
        """From now on be what a file says, as all are that share it."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, 3 * DOUBLE)
            self._shared = memoryview(mmap.mmap(descriptor, 3 * DOUBLE)).cast("d")
        finally:
            os.close(descriptor)

    @property
    def ahead(self) -> float:
        """Seconds by which it was advanced."""
        return self._shared[AHEAD]

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp((self._shared[STOPPED] or time.time()) + self.ahead, UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow, to measure how long something takes."""
        return (self._shared[STOPPED_MONOTONIC] or time.monotonic()) + self.ahead + self._resumed

    def resume(self, time_of_day: datetime, moment: float) -> None:
        """Go on from a moment, by both clocks: what was recorded a second ago was recorded a second ago again."""
        self._shared[AHEAD] += (time_of_day - self.now()).total_seconds()
        self._resumed += moment - self.monotonic()

    def set_right(self) -> None:
        """Be this computer's clock again."""
        for number in range(3):
            self._shared[number] = 0.0

    def stop(self) -> None:
        """Let no more time pass but by being advanced: how fast or slow this computer is makes no difference then."""
        self._shared[STOPPED], self._shared[STOPPED_MONOTONIC] = time.time(), time.monotonic()

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting: as much as the longest takes of those that do so at the same time."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:  # another process may have written meanwhile
            self._shared[AHEAD] += left


CLOCK = Clock()
"""This process's."""


def now() -> datetime:
    """Return the cloud's time, in UTC."""
    return CLOCK.now()


def monotonic() -> float:
    """Return the cloud's seconds, to measure how long something takes."""
    return CLOCK.monotonic()


def caller_now() -> datetime:
    """Return the time by which callers sign their requests: this computer's."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Hold an answer back, for real: its caller waits on a socket."""
    if seconds:
        time.sleep(seconds)
