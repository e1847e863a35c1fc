"""Scripts that live by the local cloud's clock, which tests advance.

One that a test only waits for waits for nothing itself: its pauses are over at once, and the clock is as much later.
One that is to be met on its way waits, until so much time has passed or a test has let it pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import botocore.waiter

from ec2lab import clock as scripts_clock
from local_cloud import clock

LOOK = 0.02
"""Seconds between looks at a clock that a test may advance."""
STALL = 0.4
"""Seconds for which nothing arrives of a cloud that responds, however busy the instance: longer ones pass at once."""


def live_by(file: Path, *, waits: bool, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Have the scripts of this process go by a local cloud's clock; `put` sets what is replaced for that."""
    clock.CLOCK.share(file)
    pause = _wait if waits else _pass

    def sleep(seconds: float) -> None:
        pause(seconds, Event())

    put(scripts_clock, "now", clock.now)
    put(scripts_clock, "monotonic", clock.monotonic)
    put(scripts_clock, "sleep", sleep)
    put(scripts_clock, "sleep_unless", lambda event, seconds: pause(seconds, event))
    if not waits:
        put(scripts_clock, "wait_for", _pass_unless_done)
    # botocore pauses before it tries again, and its waiters between their looks.
    put(botocore.endpoint, "time", SimpleNamespace(sleep=sleep))
    put(botocore.waiter, "time", SimpleNamespace(sleep=sleep))


def _pass(seconds: float, unless: Event) -> bool:
    if not unless.is_set():
        clock.CLOCK.advance(seconds)
        time.sleep(0)  # other threads of the script may go on
    return unless.is_set()


def _pass_unless_done(calls: Collection[Future[Any]], seconds: float) -> float:
    if wait(calls, min(seconds, STALL), FIRST_COMPLETED).done:
        return 0.0
    clock.CLOCK.advance(seconds)
    return seconds


def _wait(seconds: float, unless: Event) -> bool:
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0 and not unless.wait(min(left, LOOK)):
        pass
    return unless.is_set()
