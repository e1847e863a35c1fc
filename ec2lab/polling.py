"""Polling and backoff: the only implementation of either.

Polls are frequent at first, then rare enough to spare AWS's request quotas. The caller's `pause` decides the clock and
what may end the wait early: `Session.pause` ends with its session, `clock.sleep` does not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from math import inf
from typing import TypeVar, overload

from ec2lab import clock

Poll = tuple[float, float]  # seconds before the second poll, and the longest between two
Pause = Callable[[float], None]
T = TypeVar("T")


@overload
def wait_until(probe: Callable[[], T | None], pause: Pause, poll: Poll) -> T: ...
@overload
def wait_until(probe: Callable[[], T], pause: Pause, poll: Poll, timeout: float) -> T: ...
def wait_until(probe: Callable[[], T], pause: Pause, poll: Poll, timeout: float = inf) -> T:
    """Return what `look` returns as soon as that is true; after `timeout` seconds, what it returned last."""
    return next(found for last in attempts(pause, poll, timeout) if (found := probe()) or last)


def attempts(pause: Pause, poll: Poll, timeout: float = inf) -> Iterator[bool]:
    """Yield for each attempt whether it is the last one before `timeout` seconds have passed; wait in between."""
    began = clock.monotonic()
    for seconds in growing(*poll):
        last = clock.monotonic() - began >= timeout
        yield last
        if last:
            return
        pause(max(0.0, min(seconds, timeout - (clock.monotonic() - began))))


def growing(first: float, longest: float) -> Iterator[float]:
    """Yield ever longer waits before each next poll, at most a fifth of the whole; twenty polls in 45 seconds."""
    pause = first
    while True:
        yield pause
        pause = min(longest, pause * 1.25)


Jitter = Callable[[float, float], float]


def jittered(first: float, longest: float, jitter: Jitter = random.uniform) -> Iterator[float]:
    """Yield seconds to wait before retrying, without end, so that a team does not retry in step.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    most = first
    while True:
        yield jitter(0, min(longest, most))
        most = min(longest, most * 2)


FIRST, LONGEST = 10.0, 300.0
"""Seconds. Capacity returns when another customer's instance ends, so minutes are soon enough."""


def pauses(capacity_timeout: float, elapsed: Callable[[], float], jitter: Jitter = random.uniform) -> Iterator[float]:
    """Yield waits before each further round of a search; the last round begins when capacity_timeout is up."""
    for pause in jittered(FIRST, LONGEST, jitter):
        left = capacity_timeout - elapsed()
        if left <= 0:
            return
        yield min(left, pause)
