"""The timeline chart: a row per experiment, bars for instances above a line, marks for errors below it. Pure.

Sweeps have hundreds of trials and hours with thousands of errors, so trials share their sweep's row, many concurrent
instances are drawn as their number, and errors are counted in bins.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ec2lab.costs.summary import THE_LAB
from ec2lab.registry.history import LaunchError
from ec2lab.registry.instance_timeline import InstanceTimeline
from ec2lab.report.data import Past
from ec2lab.report.time_axis import Rect, TimeAxis, new_axis

MOST_ROWS = 24  # experiments with a row of their own, live ones and those that ran longest; the others share one
MOST_LANES = 10  # concurrent instances that are drawn one by one
LANE, BAR, THIN = 12, 9, 3  # pixels: a lane, its bar, and the bar of a stopped instance
NARROWEST = 0.6  # percent of the width that an instance of seconds gets, to be visible
AGGREGATE_ABOVE = 66  # pixels: the height of a row with many instances
MIN_WIDTH = 0.05  # percent; narrower gaps between two runs are not drawn
BINS = 80
STRIP = 14
MIN_OPACITY = 4  # pixels of a single error


@dataclass(slots=True)
class Row:
    """One experiment with its trials, or several that share the last row."""

    name: str
    lives: list[InstanceTimeline] = field(default_factory=list)
    errors: list[LaunchError] = field(default_factory=list)
    instances: list[Rect] = field(default_factory=list)
    error_marks: list[Rect] = field(default_factory=list)
    baseline: float = 0.0  # pixels from the top to the line
    peak: int = 0

    @property
    def height(self) -> float:
        return self.baseline + (STRIP if self.errors else 0) + 2

    @property
    def experiments(self) -> list[str]:
        return sorted({*(life.experiment or "" for life in self.lives), *(one.experiment for one in self.errors)})

    @property
    def live(self) -> int:
        return sum(life.ended is None for life in self.lives)

    @property
    def crowded(self) -> bool:
        """Whether only the number of instances is drawn."""
        return self.peak > MOST_LANES


@dataclass(frozen=True, slots=True)
class Timeline:
    axis: TimeAxis
    rows: list[Row]


def time_line(past: Past, now: datetime) -> Timeline:
    """Return the chart of everything recorded up to now."""
    moments = [*(life.began for life in past.lives), *(error.time for error in past.errors)]
    axis = new_axis(min(moments, default=now), now)
    rows = _rows(past, now)
    most = max((kinds.total() for row in rows for kinds in _by_bin(row.errors, axis).values()), default=1)
    for row in rows:
        _draw(row, axis)
        row.error_marks = _error_marks(row, axis, most)
    return Timeline(axis, rows)


def hours(life: InstanceTimeline, now: datetime) -> float:
    """Return an instance's running time, without the time it was stopped."""
    return sum(((run.ended or life.ended or now) - run.began for run in life.runs), timedelta()) / timedelta(hours=1)


def _rows(past: Past, now: datetime) -> list[Row]:
    """Return a row per base name, live ones first, then the most recent.

    Beyond the limit, those with the least running time share one.
    """
    rows: dict[str, Row] = {}
    for life in past.lives:
        name = past.base(life.experiment or "") or THE_LAB
        rows.setdefault(name, Row(name)).lives.append(life)
    for error in past.errors:
        name = past.base(error.experiment) or THE_LAB
        rows.setdefault(name, Row(name)).errors.append(error)
    weighty = sorted(rows.values(), key=lambda row: (row.live == 0, -_hours(row, now), row.name))
    own, rest = (weighty, []) if len(weighty) <= MOST_ROWS else (weighty[: MOST_ROWS - 1], weighty[MOST_ROWS - 1 :])
    own.sort(key=lambda row: (row.live > 0, _last(row, now)), reverse=True)
    shared = Row(f"{len(rest)} others")
    for row in rest:
        shared.lives += row.lives
        shared.errors += row.errors
    return [*own, *([shared] if rest else [])]


def _hours(row: Row, now: datetime) -> float:
    return sum(hours(life, now) for life in row.lives)


def _last(row: Row, now: datetime) -> datetime:
    return max([*((life.ended or now) for life in row.lives), *(error.time for error in row.errors)])


def _draw(row: Row, axis: TimeAxis) -> None:
    spans = [_span(life, axis) for life in row.lives]
    chosen = assign_rows(spans)
    row.peak = max(chosen, default=-1) + 1
    if row.crowded:
        row.baseline = AGGREGATE_ABOVE
        row.instances = _crowd(spans, axis, row.peak)
        return
    row.baseline = max(1, row.peak) * LANE
    for life, span, lane in zip(row.lives, spans, chosen, strict=True):
        row.instances += _bars(life, span, row.baseline - (lane + 1) * LANE + (LANE - BAR), axis)


def _span(life: InstanceTimeline, axis: TimeAxis) -> tuple[float, float]:
    begin, end = axis.at(life.began), axis.at(life.ended or axis.end)
    begin = min(begin, 100 - NARROWEST)
    return begin, max(end, begin + NARROWEST)


def _bars(life: InstanceTimeline, span: tuple[float, float], y: float, axis: TimeAxis) -> Iterable[Rect]:
    """Return an instance's bars, thin where it was stopped."""
    begin, end = span
    look = "spot" if life.market == "spot" else "on-demand"
    tooltip = _tooltip_of(life)
    at = begin
    for run in life.runs:
        low = _within(min(axis.at(run.began), 100 - NARROWEST), at, end)
        low = low if low - at > MIN_WIDTH else at
        high = _within(max(axis.at(run.ended or life.ended or axis.end), low + NARROWEST), low, end)
        if low > at:
            yield Rect(at, low - at, y + (BAR - THIN) / 2, THIN, "stopped", tooltip)
        if high > low:
            yield Rect(low, high - low, y, BAR, look, tooltip)
        at = high
    if end - at > MIN_WIDTH:
        yield Rect(at, end - at, y + (BAR - THIN) / 2, THIN, "stopped", tooltip)


def _within(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _tooltip_of(life: InstanceTimeline) -> str:
    what = " ".join(word for word in (life.type, life.market) if word)
    end = f"to {short(life.ended)}, {life.fate}" if life.ended else "stopped now" if life.stopped else "runs"
    return (
        f"{life.experiment}: {life.id}, {what or 'instance'} in {life.zone or life.region}, {short(life.began)} {end}"
    )


def short(moment: datetime) -> str:
    """Format a moment for people, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _crowd(spans: Sequence[tuple[float, float]], axis: TimeAxis, peak: int) -> list[Rect]:
    """Return steps as high as the number of concurrent instances."""
    edges = [100 * n / BINS for n in range(BINS + 1)]
    counts = at_once(spans, edges)
    found = []
    begin = 0
    for n in range(1, BINS + 1):
        if n < BINS and counts[n] == counts[begin]:
            continue
        if counts[begin]:
            height = max(2.0, counts[begin] / peak * (AGGREGATE_ABOVE - 4))
            tooltip = (
                f"{counts[begin]} at once, {short(_moment(axis, edges[begin]))} to {short(_moment(axis, edges[n]))}"
            )
            found.append(
                Rect(edges[begin], edges[n] - edges[begin], AGGREGATE_ABOVE - height, height, "crowd", tooltip)
            )
        begin = n
    return found


def _moment(axis: TimeAxis, x: float) -> datetime:
    return axis.begin + axis.length * (x / 100)


def _by_bin(errors: Iterable[LaunchError], axis: TimeAxis) -> dict[int, Counter[str]]:
    """Return the categories of errors in each bin that has some."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for one in errors:
        found[min(BINS - 1, int(axis.at(one.time) * BINS / 100))][one.error.category.value] += 1
    return found


def _error_marks(row: Row, axis: TimeAxis, most: int) -> list[Rect]:
    found = []
    for number, kinds in sorted(_by_bin(row.errors, axis).items()):
        x, width, count = 100 * number / BINS, 100 / BINS, kinds.total()
        length = MIN_OPACITY + (STRIP - MIN_OPACITY) * (math.log1p(count - 1) / math.log1p(most - 1) if most > 1 else 0)
        why = ", ".join(f"{meaning} {times}" for meaning, times in kinds.most_common())
        tooltip = f"{short(_moment(axis, x))} to {short(_moment(axis, x + width))}: {why}"
        found.append(Rect(x, width * 0.7, row.baseline + 2, length, "refused", tooltip))
    return found


Interval = tuple[float, float]


def assign_rows(intervals: Sequence[Interval]) -> list[int]:
    """Assign each interval the lowest free lane, using as few lanes as possible."""
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
    """Return, for each stretch between two edges, the maximum number of concurrent intervals."""
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
