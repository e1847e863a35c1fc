"""How often to look at what takes its time: often at first, then seldom enough to spare AWS's request buckets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count


def growing(first: float, longest: float) -> Iterator[float]:
    """Yield the seconds to wait before each next look, a quarter longer each time, without end.

    What took seconds is seen a fifth later at the most; the first three quarters of a minute cost twenty looks.
    """
    pause = first
    while True:
        yield pause
        pause = min(longest, pause * 1.25)


FIRST, LONGEST = 10.0, 300.0
"""Seconds. Capacity comes back when somebody else's machine ends, so minutes are soon enough; the jitter keeps a team's
searches from asking in step (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""


def pauses(
    retry_for: float, elapsed: Callable[[], float], jitter: Callable[[float, float], float] = random.uniform
) -> Iterator[float]:
    """Yield the seconds to wait before each further round of a search that goes on for `retry_for` seconds.

    The last round begins when the time is over, not before.
    """
    for rounds in count():
        left = retry_for - elapsed()
        if left <= 0:
            return
        yield min(left, jitter(0, min(LONGEST, FIRST * 2.0**rounds)))
