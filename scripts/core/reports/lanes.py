"""Intervals side by side: which lane each goes into, so that no two of a lane overlap. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

Interval = tuple[float, float]
"""From and to."""


def lanes(intervals: Sequence[Interval]) -> list[int]:
    """Return the lane of each interval, the lowest that is free when it begins; as few lanes as can be."""
    chosen = [0] * len(intervals)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for number in sorted(range(len(intervals)), key=lambda n: intervals[n]):
        begin, end = intervals[number]
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        chosen[number] = lane
        heapq.heappush(busy, (end, lane))
    return chosen


def at_once(intervals: Sequence[Interval], edges: Sequence[float]) -> list[int]:
    """Return, for each stretch between two edges, how many intervals are there together at the most."""
    changes = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    peaks, now, at = [], 0, 0
    for begin, end in itertools.pairwise(edges):
        while at < len(changes) and changes[at][0] <= begin:
            now += changes[at][1]
            at += 1
        peak = now
        while at < len(changes) and changes[at][0] < end:
            now += changes[at][1]
            peak = max(peak, now)
            at += 1
        peaks.append(peak)
    return peaks
