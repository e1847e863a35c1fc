"""The cloud's clock: this machine's, and what it was advanced by. Whoever waits for the cloud need not wait for real.

How far it is ahead stands in a file beside the server's address, so that other processes can live by it too.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

CLOCK_FILE = "clock"
DOUBLE = 8
"""Bytes."""


class Ahead:
    """Seconds by which a clock is ahead of this machine's."""

    def __init__(self) -> None:
        self._shown = memoryview(bytearray(DOUBLE)).cast("d")

    def share(self, file: Path) -> None:
        """From now on be what a file says, as all are that share it."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, DOUBLE)
            self._shown = memoryview(mmap.mmap(descriptor, DOUBLE)).cast("d")
        finally:
            os.close(descriptor)

    @property
    def seconds(self) -> float:
        """How many they are."""
        return self._shown[0]

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._shown[0] = seconds

    def pass_by(self, seconds: float) -> None:
        """Let time pass without waiting: as much as the longest takes of those that do so at the same time."""
        until = time.monotonic() + self.seconds + seconds
        while (left := until - time.monotonic() - self.seconds) > 0:  # another process may have written meanwhile
            self.seconds += left


AHEAD = Ahead()
"""How far this process's cloud is ahead."""


@dataclass
class Shift:
    """Seconds by which measured time differs from what has passed: none passes between a snapshot and its return."""

    seconds: float = 0.0


SHIFT = Shift()


def now() -> datetime:
    """Return the cloud's time, in UTC."""
    return datetime.now(UTC) + timedelta(seconds=AHEAD.seconds)


def monotonic() -> float:
    """Return the cloud's seconds, to measure how long something takes."""
    return time.monotonic() + AHEAD.seconds + SHIFT.seconds


def resume(moment: float) -> None:
    """Let the measured seconds go on from a moment."""
    SHIFT.seconds += moment - monotonic()


def caller_now() -> datetime:
    """Return the time by which callers sign their requests: this machine's."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Hold an answer back, for real: its caller waits on a socket."""
    time.sleep(seconds)
