"""What charts are made of: the time axis with positions in percent, labels and rectangles. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE, HOUR, DAY, WEEK = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1))
STEPS = (
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)), *(n * HOUR for n in (1, 2, 3, 6, 12)), DAY, 2 * DAY,
)  # fmt: skip
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
MOST_TICKS = 9
ON_A_PHONE = 4  # the number of labels that fit into 300 pixels
CLOCK, DATE = "%H:%M", "%d %b"
LAST = 95.0  # percent; further right is the label of the end


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle: x and width in percent of the chart, y and height in pixels."""

    x: float
    width: float
    y: float
    height: float
    look: str  # on-demand, spot, stopped, crowd, refused or column
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str
    narrow: bool  # whether its label fits on a phone too


@dataclass(frozen=True, slots=True)
class TimeAxis:
    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.begin

    def at(self, moment: datetime) -> float:
        """Return a moment's position, 0 to 100; moments outside are at the edge."""
        return min(100.0, max(0.0, (moment - self.begin) / self.length * 100))

    def ticks(self) -> list[Tick]:
        """Return at most nine labeled moments, at round times in UTC."""
        moments, form = self._round_moments()
        marked = [(self.at(m), m) for m in moments]
        shown = [(x, m) for x, m in marked if 0 < x < LAST]
        every = -(-len(shown) // ON_A_PHONE) or 1
        return [Tick(round(x, 2), _label(moment, form), n % every == 0) for n, (x, moment) in enumerate(shown)]

    def _round_moments(self) -> tuple[list[datetime], str]:
        for step in STEPS:
            if self.length / step <= MOST_TICKS:
                return list(_every(self, step)), CLOCK if step < DAY else DATE
        if self.length / WEEK <= MOST_TICKS:
            return list(_mondays(self)), DATE
        months = next((n for n in MONTHS if self.length / timedelta(days=30 * n) <= MOST_TICKS), MONTHS[-1])
        return list(_months(self, months)), "%b %Y" if months < MONTHS[4] else "%Y"


def new_axis(begin: datetime, end: datetime) -> TimeAxis:
    """Return the axis from the first event to now, at least an hour."""
    return TimeAxis(min(begin, end - HOUR), end)


def _label(moment: datetime, form: str) -> str:
    """Return a moment's label: among hours, midnight is labeled with its day."""
    midnight = form == CLOCK and (moment.hour, moment.minute) == (0, 0)
    return f"{moment:{DATE if midnight else form}}".removeprefix("0" if midnight or form == DATE else "")


def _every(axis: TimeAxis, step: timedelta) -> Iterator[datetime]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moment = epoch + -(-(axis.begin - epoch) // step) * step
    while moment <= axis.end:
        yield moment
        moment += step


def _mondays(axis: TimeAxis) -> Iterator[datetime]:
    day = axis.begin.replace(hour=0, minute=0, second=0, microsecond=0)
    day += timedelta(days=-day.weekday() % 7)
    while day <= axis.end:
        yield day
        day += WEEK


def _months(axis: TimeAxis, months: int) -> Iterator[datetime]:
    first = axis.begin.year * 12 + axis.begin.month - 1
    number = -(-first // months) * months
    while (moment := datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)) <= axis.end:
        yield moment
        number += months
