"""Scripts that live by the local cloud's clock, which tests advance.

One that a test only waits for waits for nothing itself: its pauses are over at once, and the clock is as much later.
One that is to be met on its way waits, until so much time has passed or a test has let it pass.
"""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import botocore.endpoint
import botocore.waiter

from scripts.core import clock as scripts_clock
from scripts.local_cloud import clock

LOOK = 0.02
"""Seconds between looks at a clock that a test may advance."""


def live_by(file: Path, *, waits: bool) -> None:
    """Have this process's script go by a local cloud's clock. It is forked for one script, so nothing is put back."""
    clock.CLOCK.share(file)
    pause = _wait if waits else _pass
    scripts_clock.now, scripts_clock.monotonic = clock.now, clock.monotonic
    scripts_clock.sleep = lambda seconds: pause(seconds, Event())
    scripts_clock.sleep_unless = lambda event, seconds: pause(seconds, event)
    # botocore pauses before it tries again, and its waiters between their looks.
    botocore.endpoint.time = botocore.waiter.time = SimpleNamespace(sleep=scripts_clock.sleep)


def _pass(seconds: float, unless: Event) -> bool:
    if not unless.is_set():
        clock.CLOCK.advance(seconds)
        time.sleep(0)  # other threads of the script may go on
    return unless.is_set()


def _wait(seconds: float, unless: Event) -> bool:
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0 and not unless.wait(min(left, LOOK)):
        pass
    return unless.is_set()
