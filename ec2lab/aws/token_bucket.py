"""Client-side throttling: a token bucket that adapts to the size of AWS's own.

EC2 takes RunInstances from a bucket of five requests, refilled at two per second, for each account and region
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html). Accounts may have larger buckets, and their
users share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ec2lab import clock

SIZE, REFILL = 5.0, 2.0  # requests, and requests per second
LEAST = 0.1
ROUNDING = 1e-9
SLOWER, FASTER = 0.8, 1.25
"""Factors for slowing down after two throttled requests in short succession, and for speeding up after many accepted
ones."""
GOOD_RUN, SHORT_RUN = 30, 15
"""Accepted requests in a row before speeding up; slow down only if two throttled ones are closer together than this. A
single one only means that our clock differs from AWS's, or that a teammate made a request."""


@dataclass
class TokenBucket:
    """A bucket for one operation in one region. Thread-safe.

    Threads wait in a queue, and only the first of them for a token, so a change of the rate applies to all waiting
    threads.
    """

    pause: Callable[[float], None]
    monotonic: Callable[[], float] = field(default_factory=lambda: clock.monotonic)
    refill: float = REFILL
    _tokens: float = SIZE
    _at: float = field(default=-1.0)
    _taken: int = 0  # since the last throttled request, or since it last became faster
    _refused_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _queue: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> float:
        """Wait until another request may be sent, and return the time."""
        with self._queue:
            while wait := self._seconds_missing():
                self.pause(wait)
            self.pause(0.0)  # raises when it has passed
            with self._lock:
                self._tokens -= 1
                return self._at

    def granted(self) -> None:
        """Note an accepted request; after many in a row, try to be faster."""
        with self._lock:
            self._taken += 1
            if self._taken >= GOOD_RUN:
                self._taken = 0
                self.refill *= FASTER

    def on_throttled(self, sent: float) -> None:
        """Note that a request sent at `sent` was throttled: AWS's bucket is empty, so ours is too."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens, 0.0)
            before = self._refused_at
            if before is not None and sent < before:
                return  # it was pending when another was throttled, and is no new information
            if before is not None and self._taken < SHORT_RUN:
                self.refill = max(LEAST, self.refill * SLOWER)
            self._taken, self._refused_at = 0, self._at

    def _seconds_missing(self) -> float:
        with self._lock:
            self._fill()
            lack = 1 - self._tokens
            return lack / self.refill if lack > ROUNDING else 0.0

    def _fill(self) -> None:
        now = self.monotonic()
        if self._at >= 0:
            self._tokens = min(SIZE, self._tokens + (now - self._at) * self.refill)
        self._at = now
