"""What time it is, and waiting: the one place that scripts have either from.

Callers import the module, not its functions, so that tests can replace these for all of them and wait without waiting.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from threading import Event
from typing import Any


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that only grow, to measure how long something takes."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait for what goes on elsewhere, as all that does on AWS."""
    time.sleep(seconds)


def sleep_unless(event: Event, seconds: float) -> bool:
    """Wait likewise; say whether the event was set meanwhile, which ends the wait."""
    return event.wait(seconds)


def wait_for(calls: Collection[Future[Any]], seconds: float) -> float:
    """Wait until one of several calls to AWS is over, at most so long; return how long that was."""
    began = time.monotonic()
    wait(calls, seconds, FIRST_COMPLETED)
    return time.monotonic() - began


def nap(seconds: float) -> None:
    """Wait for another process of this computer, which takes the time that it takes, whatever the clock says."""
    time.sleep(seconds)
