"""The time, and waiting: the only source of either.

Callers import the module, not its functions, so that tests can replace these for all and wait without waiting.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from threading import Event
from typing import Any


def now() -> datetime:
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that only grow, for measuring durations."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait for something outside this computer, such as AWS."""
    time.sleep(seconds)


def sleep_unless(event: Event, seconds: float) -> bool:
    """The same, ended early by an event; return whether it was set."""
    return event.wait(seconds)


def wait_for(calls: Collection[Future[Any]], seconds: float) -> float:
    """Wait until one of several calls to AWS is done, with a limit; return how long that took."""
    began = time.monotonic()
    wait(calls, seconds, FIRST_COMPLETED)
    return time.monotonic() - began


def nap(seconds: float) -> None:
    """Wait for another process of this computer, in real time whatever the clock says."""
    time.sleep(seconds)
