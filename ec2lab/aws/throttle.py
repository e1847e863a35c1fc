"""Asking no faster than AWS lets us: a token bucket on our side, which learns how large AWS's own is.

EC2 takes RunInstances from a bucket of five requests that two a second refill, for each account and region
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html); accounts may have more, and share it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ec2lab import clock

SIZE, REFILL = 5.0, 2.0
"""Requests, and requests a second."""
LEAST = 0.1
ROUNDING = 1e-9
SLOWER, FASTER = 0.8, 1.25
"""By which factor two refusals soon after each other slow us down, and by which a good run makes us faster."""
GOOD_RUN, SHORT_RUN = 30, 15
"""Requests in a row that AWS took, to be faster; so few between two refusals, to be slower: one alone is only that our
clock and AWS's do not tick together, or a teammate's request."""


@dataclass
class TokenBucket:
    """A bucket for one operation in one region; any thread may take from it.

    Threads wait in a queue, and only the first of them for a token: so what is learned of AWS's bucket meanwhile, a
    refusal or another rate, holds for all who wait.
    """

    pause: Callable[[float], None]
    monotonic: Callable[[], float] = field(default_factory=lambda: clock.monotonic)
    refill: float = REFILL
    _tokens: float = SIZE
    _at: float = field(default=-1.0)
    _taken: int = 0
    """Since the last refusal, or since the last time it became faster."""
    _refused_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _queue: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> float:
        """Wait until one more request may be sent, and return when that is."""
        with self._queue:
            while wait := self._seconds_missing():
                self.pause(wait)
            self.pause(0.0)  # raises where it is over
            with self._lock:
                self._tokens -= 1
                return self._at

    def granted(self) -> None:
        """Hear that AWS took a request; after many in a row, try to be faster."""
        with self._lock:
            self._taken += 1
            if self._taken >= GOOD_RUN:
                self._taken = 0
                self.refill *= FASTER

    def refused(self, sent: float) -> None:
        """Hear that AWS found a request, sent then, too fast: its bucket is empty, and so is ours from now on."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens, 0.0)
            before = self._refused_at
            if before is not None and sent < before:
                return  # it was on its way when another was refused, and tells nothing new
            if before is not None and self._taken < SHORT_RUN:
                self.refill = max(LEAST, self.refill * SLOWER)
            self._taken, self._refused_at = 0, self._at

    def _seconds_missing(self) -> float:
        """Return after how many seconds there is a token; 0 where there is one."""
        with self._lock:
            self._fill()
            lack = 1 - self._tokens
            return lack / self.refill if lack > ROUNDING else 0.0

    def _fill(self) -> None:
        now = self.monotonic()
        if self._at >= 0:
            self._tokens = min(SIZE, self._tokens + (now - self._at) * self.refill)
        self._at = now
