"""When to ask for capacity again: exponential backoff with full jitter, until a search's time is over. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count

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
