"""How often to look at what takes its time: often at first, then seldom enough to spare AWS's request buckets."""

from __future__ import annotations

from collections.abc import Iterator


def growing(first: float, longest: float) -> Iterator[float]:
    """Yield the seconds to wait before each next look, a quarter longer each time, without end.

    What took seconds is seen a fifth later at the most; the first three quarters of a minute cost twenty looks.
    """
    pause = first
    while True:
        yield pause
        pause = min(longest, pause * 1.25)
