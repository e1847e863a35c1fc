"""The cloud's clock: this computer's, advanced or stopped, so that waiting for the cloud takes no real time.

Its offset is in a file next to the server's address, so that other processes can use it too.
"""

from __future__ import annotations

import mmap
import os
import time
from datetime import UTC, datetime
from pathlib import Path

CLOCK_FILE = "clock"
AHEAD, STOPPED, STOPPED_MONOTONIC = range(3)
"""The shared values: seconds ahead of this computer's clocks, and their values when it was stopped, 0 while it runs."""
DOUBLE = 8  # bytes of each


class Clock:
    """A clock that several processes may share."""

    def __init__(self) -> None:
        self._shared = memoryview(bytearray(3 * DOUBLE)).cast("d")
        self._resumed = 0.0
        """Additional seconds of the monotonic clock: none passes between a snapshot and its restoration."""

    def share(self, file: Path) -> None:
        """From now on use the offset in a file, like all that share it."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, 3 * DOUBLE)
            self._shared = memoryview(mmap.mmap(descriptor, 3 * DOUBLE)).cast("d")
        finally:
            os.close(descriptor)

    @property
    def ahead(self) -> float:
        return self._shared[AHEAD]

    def now(self) -> datetime:
        return datetime.fromtimestamp((self._shared[STOPPED] or time.time()) + self.ahead, UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow, for measuring durations."""
        return (self._shared[STOPPED_MONOTONIC] or time.monotonic()) + self.ahead + self._resumed

    def resume(self, time_of_day: datetime, moment: float) -> None:
        """Continue from a moment, on both clocks: what was recorded a second before it is a second old again."""
        self._shared[AHEAD] += (time_of_day - self.now()).total_seconds()
        self._resumed += moment - self.monotonic()

    def set_right(self) -> None:
        for number in range(3):
            self._shared[number] = 0.0

    def stop(self) -> None:
        """Let time pass only by advancing: the speed of this computer then makes no difference."""
        self._shared[STOPPED], self._shared[STOPPED_MONOTONIC] = time.time(), time.monotonic()

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting; concurrent calls together pass the longest."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:  # another process may have written meanwhile
            self._shared[AHEAD] += left


CLOCK = Clock()  # this process's


def now() -> datetime:
    return CLOCK.now()


def monotonic() -> float:
    return CLOCK.monotonic()


def caller_now() -> datetime:
    """Return the time by which callers sign their requests: this computer's."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Delay a response, in real time: its caller waits on a socket."""
    if seconds:
        time.sleep(seconds)
